#include "hsm_signer/audit/syncer.h"

#include <future>
#include <optional>
#include <vector>

#include "hsm_signer/audit/log.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/faulty_disk.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

// The owner's loop: what is posted runs when the test says so.
class Loop {
 public:
  Syncer::Post poster() {
    return [this](std::function<void()> work) {
      const std::lock_guard lock{mutex_};
      queue_.push_back(std::move(work));
      wake_.notify_one();
    };
  }
  void run_one() {
    std::unique_lock lock{mutex_};
    wake_.wait(lock, [this] { return !queue_.empty(); });
    const std::function<void()> work = std::move(queue_.front());
    queue_.erase(queue_.begin());
    lock.unlock();
    work();
  }
  std::size_t waiting() {
    const std::lock_guard lock{mutex_};
    return queue_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> queue_;
};

TEST(AuditSyncer, ReportsOnTheOwnersThreadHowFarTheLogIsDurable) {
  const TempDir dir;
  const auto log = Log::open(dir / "audit");
  ASSERT_THAT(log, Succeeds());
  Loop loop;
  std::optional<std::uint64_t> durable;
  std::thread::id where;
  Syncer syncer{**log, loop.poster(), [&](const Result<std::uint64_t>& result) {
                  durable = *result;
                  where = std::this_thread::get_id();
                }};
  ASSERT_THAT((*log)->append(refuse_record()), Succeeds());
  ASSERT_THAT((*log)->flush(), Succeeds());
  syncer.request();
  loop.run_one();
  EXPECT_EQ(durable, 1U);
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(AuditSyncer, ReportsAnFdatasyncError) {
  const TempDir dir;
  FaultyDisk disk;
  const auto log = Log::open(dir / "audit", {}, disk);
  ASSERT_THAT(log, Succeeds());
  Loop loop;
  std::optional<Result<std::uint64_t>> report;
  Syncer syncer{**log, loop.poster(),
                [&](const Result<std::uint64_t>& result) { report = result; }};
  disk.sync_errno = EIO;
  syncer.request();
  loop.run_one();
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(*report, ErrorIs(Code::audit_unavailable));
}

TEST(AuditSyncer, RequestsDuringASyncShareTheNextOne) {
  Loop loop;
  std::promise<void> started;
  std::promise<void> go_on;
  int syncs = 0;
  Syncer syncer{[&]() -> Result<std::uint64_t> {
                  if (++syncs == 1) {
                    started.set_value();
                    go_on.get_future().wait();
                  }
                  return static_cast<std::uint64_t>(syncs);
                },
                loop.poster(), [](const Result<std::uint64_t>&) {}};
  syncer.request();
  started.get_future().wait();
  for (int i = 0; i < 100; ++i) syncer.request();
  go_on.set_value();
  loop.run_one();
  loop.run_one();
  EXPECT_EQ(loop.waiting(), 0U);
  EXPECT_EQ(syncs, 2);
}

TEST(AuditSyncer, DoesWhatWasAskedForBeforeItEnds) {
  Loop loop;
  int reports = 0;
  {
    Syncer syncer{[]() -> Result<std::uint64_t> { return std::uint64_t{7}; }, loop.poster(),
                  [&](const Result<std::uint64_t>&) { ++reports; }};
    syncer.request();
  }
  ASSERT_EQ(loop.waiting(), 1U);
  loop.run_one();
  EXPECT_EQ(reports, 1);
}

// For the thread sanitizer as much as for the counts.
TEST(AuditSyncer, SyncsWhileTheOwnerWrites) {
  const TempDir dir;
  const auto log = Log::open(dir / "audit");
  ASSERT_THAT(log, Succeeds());
  Loop loop;
  std::uint64_t durable = 0;
  Syncer syncer{**log, loop.poster(), [&](const Result<std::uint64_t>& result) {
                  ASSERT_THAT(result, Succeeds());
                  EXPECT_GE(*result, durable);
                  durable = *result;
                }};
  for (std::uint64_t i = 1; i <= 500; ++i) {
    ASSERT_THAT((*log)->append(allow_record(i, i)), Succeeds());
    ASSERT_THAT((*log)->flush(), Succeeds());
    syncer.request();
    while (loop.waiting() > 0) loop.run_one();
  }
  while (durable < 500) loop.run_one();
  EXPECT_EQ((*log)->durable_size(), 500U);
}

}  // namespace
}  // namespace hsm::audit
