// Which lines of a plan struck, for the test that gave it: a file beside the rules.
//
// A line "TEXT COUNT" is appended when a process's count of TEXT reaches 1, 2, 4, 8 …; the last one
// says at least how often it struck there. Appending at powers of two keeps the module as fast as
// it was: a rule that strikes at each of a million calls is 20 writes. Written before the fault
// strikes, for it may be the process's end. The first process that reads a new plan empties the
// file.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>

namespace hsm::test::fault {

class Struck {
 public:
  explicit Struck(std::string path) : path_{std::move(path)} {}

  // The plan of a file that came at `when`: what is older told of another.
  void begin(const timespec& when);
  void count(const std::string& text);

 private:
  void append(const std::string& line) const;

  std::string path_;
  timespec since_{};
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace hsm::test::fault
