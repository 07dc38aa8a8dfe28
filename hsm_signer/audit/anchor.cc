#include "hsm_signer/audit/anchor.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace hsm::audit {

// What both threads hold, so that neither needs the other to be there.
struct Anchor::Shared {
  struct Note {
    std::string text;
    std::uint64_t size;
  };

  std::string path;
  AnchorFile::Absent absent;
  Disk& disk;

  std::mutex mutex;
  std::condition_variable wake;            // The thread: there is a note, or an end.
  std::condition_variable opened;          // The owner: `file` is there.
  std::optional<Result<AnchorFile>> file;  // The thread's alone once it was opened.
  std::optional<Note> next;
  bool in_file = true;  // In a call that may hang.
  bool ended = false;
  Post post;
  Report report;

  Shared(std::string where, AnchorFile::Absent when_absent, Disk& on)
      : path{std::move(where)}, absent{when_absent}, disk{on} {}
};

Result<std::unique_ptr<Anchor>> Anchor::open(std::string path, AnchorFile::Absent absent,
                                             std::chrono::milliseconds patience, Disk& disk) {
  auto shared = std::make_shared<Shared>(std::move(path), absent, disk);
  std::unique_ptr<Anchor> anchor{new Anchor{shared}};
  anchor->thread_ = std::thread{[shared] { run(shared); }};
  std::unique_lock lock{shared->mutex};
  if (!shared->opened.wait_for(lock, patience, [&] { return shared->file.has_value(); }))
    return fail(Code::audit_unavailable, "the anchor of the audit log does not answer",
                shared->path + ": nothing in " + std::to_string(patience.count()) + " ms");
  if (!*shared->file) return fail(shared->file->error());
  anchor->last_note_ = (*shared->file)->last_note();
  anchor->size_ = (*shared->file)->size();
  return anchor;
}

Anchor::~Anchor() {
  std::unique_lock lock{shared_->mutex};
  shared_->ended = true;
  shared_->wake.notify_one();
  const bool may_hang = shared_->in_file;
  lock.unlock();
  may_hang ? thread_.detach() : thread_.join();
}

void Anchor::report_to(Post post, Report report) {
  const std::lock_guard lock{shared_->mutex};
  shared_->post = std::move(post);
  shared_->report = std::move(report);
}

void Anchor::write(std::string note, std::uint64_t size) {
  const std::lock_guard lock{shared_->mutex};
  shared_->next = Shared::Note{.text = std::move(note), .size = size};
  shared_->wake.notify_one();
}

void Anchor::run(const std::shared_ptr<Shared>& shared) {
  Result<AnchorFile> file = AnchorFile::open(shared->path, shared->absent, shared->disk);
  std::unique_lock lock{shared->mutex};
  shared->in_file = false;
  shared->file = std::move(file);
  shared->opened.notify_one();
  while (*shared->file) {
    shared->wake.wait(lock, [&] { return shared->next || shared->ended; });
    if (shared->ended) return;
    const Shared::Note note = *std::exchange(shared->next, std::nullopt);
    shared->in_file = true;
    lock.unlock();
    const Result<void> written = (*shared->file)->append(note.text);
    lock.lock();
    shared->in_file = false;
    // Under the lock: an owner that has ended has no loop to post to.
    if (shared->ended) return;
    // `report` by value: the function may run after the owner is gone.
    shared->post([report = shared->report, size = note.size, written] { report(size, written); });
  }
}

}  // namespace hsm::audit
