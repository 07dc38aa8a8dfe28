#include "hsm_signer/audit/seals.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>
#include <utility>

namespace hsm::audit {
namespace {

// A note ends with an empty line.
bool ends_whole(int fd, std::uint64_t size) {
  std::array<char, 2> end{};
  return size >= end.size() &&
         ::pread(fd, end.data(), end.size(), static_cast<off_t>(size - end.size())) == 2 &&
         end[0] == '\n' && end[1] == '\n';
}

}  // namespace

Result<NotesFile> notes_of(std::string path, Result<OwnedFd> fd) {
  if (!fd) return fail(fd.error());
  std::uint64_t size = 0;
  for (bool again = true; again;) {
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return fail(os_error(Code::usage, "cannot read", path));
    const auto now = static_cast<std::uint64_t>(status.st_size);
    again = now != size && !ends_whole(fd->get(), now);
    size = now;
    // What is being written comes to its end meanwhile; what is torn stays.
    if (again) std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return NotesFile{std::move(path), *std::move(fd), size};
}

Result<void> Seals::advance() {
  current_.reset();
  while (!ended_) {
    const auto note = notes_.next();
    if (!note && note.error().code != Code::verification_failed) return fail(note.error());
    ended_ = !note || !*note;
    if (!note) {
      say_(line(), note.error().sentence() + "; the rest was not read");
    } else if (!*note) {
      if (notes_.torn())
        say_(line(),
             "an unfinished note: changed, or cut by a crash (then the next start removes it)");
    } else if (auto opened = open_note(**note, key_); !opened) {
      say_(line(), opened.error().sentence());
    } else if (opened->text.size < last_size_) {
      say_(line(), "a checkpoint over " + std::to_string(opened->text.size) +
                       " records after one over " + std::to_string(last_size_));
    } else {
      last_size_ = opened->text.size;
      current_ = std::move(opened->text);
      ++count_;
      return {};
    }
  }
  return {};
}

}  // namespace hsm::audit
