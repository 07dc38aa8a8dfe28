// python3 as an independent reading: its standard library computes what ours did.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

namespace hsm {

// The lines that `program` prints, given those `lines` on its standard input; none where it fails.
inline std::vector<std::string> python3(const char* program,
                                        const std::vector<std::string>& lines) {
  const TempDir dir;
  {
    std::ofstream in{dir / "in"};
    for (const std::string& line : lines) in << line << '\n';
  }
  const Ended ended = in_child([&] {
    if (std::freopen((dir / "in").c_str(), "r", stdin) == nullptr ||
        std::freopen((dir / "out").c_str(), "w", stdout) == nullptr)
      return 126;
    ::execlp("python3", "python3", "-c", program, nullptr);
    return 127;
  });
  std::vector<std::string> answers;
  if (ended.status != 0) return answers;
  std::ifstream out{dir / "out"};
  for (std::string line; std::getline(out, line);) answers.push_back(line);
  return answers;
}

}  // namespace hsm
