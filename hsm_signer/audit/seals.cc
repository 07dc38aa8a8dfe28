#include "hsm_signer/audit/seals.h"

#include <utility>

namespace hsm::audit {

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
