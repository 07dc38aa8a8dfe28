// The thread that does nothing but fdatasync.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "hsm_signer/base/result.h"

namespace hsm::audit {

class Log;

class Syncer {
 public:
  // Runs a function on the owner's thread, later; called from the sync thread.
  using Post = std::function<void(std::function<void()>)>;
  // "Durable up to this sequence", or why it never will be. On the owner's thread, through Post.
  using Report = std::function<void(Result<std::uint64_t>)>;

  // `log` outlives the Syncer.
  Syncer(Log& log, Post post, Report report);
  // For tests: any function in the place of Log::sync().
  Syncer(std::function<Result<std::uint64_t>()> sync, Post post, Report report);
  Syncer(const Syncer&) = delete;
  Syncer& operator=(const Syncer&) = delete;
  // Does what was asked for, then ends. Reports already posted may still run: they must not outlive
  // what `report` holds.
  ~Syncer();

  // Everything flushed before this call gets durable. Requests made while one sync runs share the
  // next one. Any thread.
  void request();

 private:
  void run();

  const std::function<Result<std::uint64_t>()> sync_;
  const Post post_;
  const Report report_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hsm::audit
