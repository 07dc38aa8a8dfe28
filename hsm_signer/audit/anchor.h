// The thread that writes the anchor (anchor_file.h): neither the event loop nor the thread that
// syncs the log nor the state's may wait for a mount that hangs. Of notes that come while one is
// being written the newest is written next; a later note says all that an earlier one does.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "hsm_signer/audit/anchor_file.h"
#include "hsm_signer/base/result.h"

namespace hsm::audit {

class Anchor {
 public:
  // Runs a function on the owner's thread, later; called from the anchor's thread.
  using Post = std::function<void(std::function<void()>)>;
  // What became of a note: over how many records it is, durable or why not. On the owner's thread,
  // through Post. Notes that a newer one has overtaken are not reported.
  using Report = std::function<void(std::uint64_t size, const Result<void>& written)>;

  // AnchorFile::open() in the new thread, for which this call waits so long and no longer;
  // audit_unavailable after that. `disk` outlives the thread, which may outlive the Anchor.
  static Result<std::unique_ptr<Anchor>> open(std::string path, AnchorFile::Absent absent,
                                              std::chrono::milliseconds patience,
                                              Disk& disk = Disk::system());
  Anchor(const Anchor&) = delete;
  Anchor& operator=(const Anchor&) = delete;
  // Ends the thread, or leaves it behind where it hangs in the file: it has nothing of the owner's.
  // Reports already posted may still run.
  ~Anchor();

  // As they were at the start.
  const std::string& last_note() const { return last_note_; }
  std::uint64_t size() const { return size_; }

  // Before the first write().
  void report_to(Post post, Report report);
  void write(std::string note, std::uint64_t size);

 private:
  struct Shared;
  explicit Anchor(std::shared_ptr<Shared> shared) : shared_{std::move(shared)} {}
  static void run(const std::shared_ptr<Shared>& shared);

  const std::shared_ptr<Shared> shared_;
  std::string last_note_;
  std::uint64_t size_ = 0;
  std::thread thread_;
};

}  // namespace hsm::audit
