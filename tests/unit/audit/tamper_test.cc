// A sealed log of eight records in which somebody changes something: verification names it.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "hsm_signer/audit/verify.h"
#include "tests/support/error_is.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

class Tampering : public ::testing::Test {
 protected:
  Tampering() {
    const auto log = Log::open(directory_);
    EXPECT_THAT(log, Succeeds());
    write_records(**log, {start_record(), allow_record(1, 1), refuse_record(), allow_record(2, 2)});
    seal_head(**log, key_);
    write_records(**log, {Record::gap(kWorker, 3, 3, "worker killed"), allow_record(3, 4),
                          Record::key_event({.uid = 0, .gid = 0, .pid = 9}, "retire", "k", 1),
                          Record::stop("5f0c2b9e", "SIGTERM")});
    seal_head(**log, key_);
    log_ = slurp(segment_);
    notes_ = slurp(notes_path_);
  }

  bool found() {
    const auto verified = verify_directory(directory_, pem_);
    EXPECT_THAT(verified, Succeeds());
    return verified && !verified->ok();
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (std::size_t at = 0; at < log_.size();) {
      const std::size_t end = log_.find('\n', at) + 1;
      all.push_back(log_.substr(at, end - at));
      at = end;
    }
    return all;
  }
  static std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
  }
  // Bits of text[from, to).
  std::size_t flips_not_found(const std::string& path, const std::string& text, std::size_t from,
                              std::size_t to) {
    std::size_t missed = 0;
    const OwnedFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    for (std::size_t bit = from * 8; bit < to * 8; ++bit) {
      const auto at = static_cast<off_t>(bit / 8);
      const char was = text[bit / 8];
      const auto flipped = static_cast<char>(was ^ (1 << bit % 8));
      EXPECT_EQ(::pwrite(file.get(), &flipped, 1, at), 1);
      const bool missing = !found();
      EXPECT_FALSE(missing) << "bit " << bit << " of " << path;
      missed += missing ? 1 : 0;
      EXPECT_EQ(::pwrite(file.get(), &was, 1, at), 1);
    }
    return missed;
  }

  const TempDir dir_;
  const std::string directory_ = dir_ / "audit";
  const std::string segment_ = directory_ + "/audit-000001.jsonl";
  const std::string notes_path_ = directory_ + "/checkpoints";
  const TestKey key_;
  const std::string pem_ = key_.public_pem();
  std::string log_;
  std::string notes_;
};

TEST_F(Tampering, NothingIsFoundWhereNothingWasDone) {
  ASSERT_EQ(lines().size(), 8U);
  EXPECT_FALSE(found());
}

// One test per record, so that they run side by side: 20,000 verifications in all.
class TamperingWithRecord : public Tampering, public ::testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(All, TamperingWithRecord,
                         ::testing::Range(std::size_t{0}, std::size_t{8}));

TEST_P(TamperingWithRecord, EveryBitIsGuarded) {
  std::size_t from = 0;
  for (std::size_t i = 0; i < GetParam(); ++i) from += lines()[i].size();
  EXPECT_EQ(flips_not_found(segment_, log_, from, from + lines()[GetParam()].size()), 0U);
}

TEST_F(Tampering, EveryBitOfTheCheckpointsIsGuarded) {
  EXPECT_EQ(flips_not_found(notes_path_, notes_, 0, notes_.size()), 0U);
}

// HSM_TAMPER_RECORDS=500 takes minutes: audit_test.long.
TEST_F(Tampering, OneRandomBitInEachByteOfALongerLogIsFound) {
  const char* wanted = std::getenv("HSM_TAMPER_RECORDS");
  const auto records = static_cast<std::uint64_t>(wanted != nullptr ? std::atoi(wanted) : 20);
  ASSERT_GT(records, 0U);
  std::filesystem::remove_all(directory_);
  {
    const auto log = Log::open(directory_);
    ASSERT_THAT(log, Succeeds());
    std::uint64_t macs = 0;
    for (std::uint64_t i = 1; i <= records; ++i) {
      Record record = Record::stop("5f0c2b9e", "SIGTERM");
      if (i % 10 == 1) record = start_record();
      if (i % 10 == 2) record = refuse_record();
      if (i % 5 == 3) ++macs, record = allow_record(macs, macs);
      if (i % 10 == 5) record = usage_record(key_, macs);
      write_records(**log, {record});
      if (i % 50 == 0 || i == records) seal_head(**log, key_);
    }
  }
  ASSERT_FALSE(found());
  const std::string text = slurp(segment_);
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  const OwnedFd file{::open(segment_.c_str(), O_WRONLY | O_CLOEXEC)};
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto flipped = static_cast<char>(text[at] ^ (1 << random() % 8));
    ASSERT_EQ(::pwrite(file.get(), &flipped, 1, static_cast<off_t>(at)), 1);
    ASSERT_TRUE(found()) << "byte " << at << ", seed " << seed;
    ASSERT_EQ(::pwrite(file.get(), &text[at], 1, static_cast<off_t>(at)), 1);
  }
}

TEST_F(Tampering, AMacWithoutARecordIsFoundAndNamed) {
  const auto log = Log::open(directory_);
  ASSERT_THAT(log, Succeeds());
  // Five by its token's word, of which the log has four.
  write_records(**log, {usage_record(key_, 5)});
  seal_head(**log, key_);
  const auto verified = verify_directory(directory_, pem_);
  ASSERT_THAT(verified, Succeeds());
  ASSERT_EQ(verified->failures, 1U);
  EXPECT_THAT(verified->findings.back().sentence,
              ::testing::HasSubstr("00f3a19c44d2be71 made MACs without a record or gap: 5"));
}

TEST_F(Tampering, EveryByteRemovedIsFound) {
  for (std::size_t at = 0; at < log_.size(); ++at) {
    spit(segment_, log_.substr(0, at) + log_.substr(at + 1));
    EXPECT_TRUE(found()) << at;
  }
}

TEST_F(Tampering, EveryCutOfTheLogIsFound) {
  for (std::size_t size = 0; size < log_.size(); ++size) {
    spit(segment_, log_.substr(0, size));
    EXPECT_TRUE(found()) << size;
  }
}

TEST_F(Tampering, RecordsRemovedDoubledOrSwappedAreFound) {
  const std::vector<std::string> all = lines();
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::string> removed = all;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
    spit(segment_, joined(removed));
    EXPECT_TRUE(found()) << "without " << i;

    std::vector<std::string> doubled = all;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
    spit(segment_, joined(doubled));
    EXPECT_TRUE(found()) << "twice " << i;

    for (std::size_t j = i + 1; j < all.size(); ++j) {
      std::vector<std::string> swapped = all;
      std::swap(swapped[i], swapped[j]);
      spit(segment_, joined(swapped));
      EXPECT_TRUE(found()) << i << " and " << j;
    }
  }
}

// A forger who keeps every rule of the format, but has not the key.
TEST_F(Tampering, AConsistentForgeryIsFound) {
  const std::size_t at = log_.find("\"price\":\"30000\"");
  std::string forged = log_;
  forged.replace(at, 15, "\"price\":\"39999\"");
  spit(segment_, forged);
  EXPECT_TRUE(found());
}

TEST_F(Tampering, AForgeryResealedWithAnotherKeyIsFound) {
  std::filesystem::remove_all(directory_);
  const auto log = Log::open(directory_);
  ASSERT_THAT(log, Succeeds());
  write_records(**log, {start_record(), allow_record(1, 1)});
  seal_head(**log, TestKey{});
  EXPECT_TRUE(found());
}

TEST_F(Tampering, ACheckpointOfAnotherLogIsFound) {
  const std::string other = dir_ / "other";
  const auto log = Log::open(other);
  ASSERT_THAT(log, Succeeds());
  write_records(**log, {start_record(), allow_record(1, 1), allow_record(2, 2)});
  seal_head(**log, key_);
  spit(notes_path_, slurp(other + "/checkpoints") + notes_);
  EXPECT_TRUE(found());
}

TEST_F(Tampering, CheckpointsRemovedAtTheFrontChangeNothing) {
  spit(notes_path_, notes_.substr(notes_.find("\n\n", notes_.find("\n\n") + 1) + 2));
  EXPECT_FALSE(found());
}

// Documented as not detectable without an anchor elsewhere (docs/audit.md).
TEST_F(Tampering, TheLastCheckpointAndItsRecordsCutTogetherAreNotFound) {
  spit(notes_path_, notes_.substr(0, notes_.find("\n\n", notes_.find("\n\n") + 1) + 2));
  std::vector<std::string> all = lines();
  all.resize(4);
  spit(segment_, joined(all));
  EXPECT_FALSE(found());
}

}  // namespace
}  // namespace hsm::audit
