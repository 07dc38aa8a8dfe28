#include "hsm_signer/audit/syncer.h"

#include <utility>

#include "hsm_signer/audit/log.h"

namespace hsm::audit {

Syncer::Syncer(Log& log, Post post, Report report)
    : Syncer{[&log] { return log.sync(); }, std::move(post), std::move(report)} {}

Syncer::Syncer(std::function<Result<std::uint64_t>()> sync, Post post, Report report)
    : sync_{std::move(sync)}, post_{std::move(post)}, report_{std::move(report)}, thread_{[this] {
        run();
      }} {}

Syncer::~Syncer() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Syncer::request() {
  {
    const std::lock_guard lock{mutex_};
    if (std::exchange(wanted_, true)) return;
  }
  wake_.notify_one();
}

void Syncer::run() {
  for (;;) {
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return wanted_ || stopping_; });
      if (!std::exchange(wanted_, false)) return;
    }
    // `report_` by value: the function may run after this object is gone.
    post_([report = report_, result = sync_()] { report(result); });
  }
}

}  // namespace hsm::audit
