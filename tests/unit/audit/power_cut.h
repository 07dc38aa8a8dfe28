// What a power cut may leave of a directory: all that was synced, and of the rest nothing, all, a
// part, or a file that is as long as it should be with zeros (or what was there before) in it, as
// file systems do that write sizes before data.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/audit/recording_disk.h"

namespace hsm::audit {

// Of what was not synced yet.
enum class Kept {
  nothing,
  everything,
  half_the_operations,
  half_the_bytes,
  only_the_size,
  only_the_newest_write,
  all_but_the_newest_write,
};
inline constexpr std::array kEveryKept{Kept::nothing,
                                       Kept::everything,
                                       Kept::half_the_operations,
                                       Kept::half_the_bytes,
                                       Kept::only_the_size,
                                       Kept::only_the_newest_write,
                                       Kept::all_but_the_newest_write};

class PowerCut {
 public:
  using Files = std::map<std::string, std::string>;  // Content by name.

  // After the first `count` of `ops`.
  PowerCut(const std::vector<DiskOp>& ops, std::size_t count);

  // Names keep nothing, everything or half the operations.
  Files left(Kept names, Kept segments, Kept checkpoints) const;
  // Nonces by sequence.
  const std::map<std::uint64_t, std::string>& answers() const { return answers_; }

 private:
  struct File {
    std::vector<const DiskOp*> synced;
    std::vector<const DiskOp*> pending;
  };
  static std::string apply(std::string content, const std::vector<const DiskOp*>& ops);
  static std::string content(const File& file, Kept kept);

  std::map<int, File> files_;
  std::vector<const DiskOp*> names_;
  std::vector<const DiskOp*> pending_names_;
  std::map<std::uint64_t, std::string> answers_;
};

}  // namespace hsm::audit
