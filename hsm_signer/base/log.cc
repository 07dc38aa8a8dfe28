#include "hsm_signer/base/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <utility>

namespace hsm {
namespace {

std::string& process_name() {
  static std::string name = "hsm-signer";
  return name;
}

Level least_level = Level::info;

constexpr std::uint64_t kLinesPerSecond = 10;

struct Allowance {
  std::chrono::steady_clock::time_point second;
  std::uint64_t lines = 0;
  std::uint64_t dropped = 0;
};

}  // namespace

void log_limited(Level level, std::string_view event, std::string_view text) {
  static std::map<std::string, Allowance, std::less<>> allowances;
  Allowance& allowance = allowances.try_emplace(std::string{event}).first->second;
  const auto now = std::chrono::steady_clock::now();
  if (now - allowance.second >= std::chrono::seconds{1}) {
    allowance.second = now;
    allowance.lines = 0;
  }
  if (++allowance.lines > kLinesPerSecond) {
    ++allowance.dropped;
    return;
  }
  const std::uint64_t dropped = std::exchange(allowance.dropped, 0);
  log(level, event,
      dropped == 0 ? std::string{text}
                   : std::string{text} + " (and " + std::to_string(dropped) + " more before)");
}

void set_log_name(std::string_view name) { process_name() = name; }
void set_log_level(Level least) { least_level = least; }

void log(Level level, std::string_view event, std::string_view text) {
  if (static_cast<int>(level) > static_cast<int>(least_level)) return;
  std::string line = "<" + std::to_string(static_cast<int>(level)) + ">" + process_name() + ": ";
  line.append(event);
  if (!text.empty()) line.append(": ").append(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  line.push_back('\n');
  // One write, so that lines of several processes on one pipe do not mix. A log that cannot be
  // written has nowhere to complain.
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

void log_in_signal_handler(Level level, std::string_view event, std::string_view text) {
  std::array<char, 512> line;
  std::size_t size = 0;
  const std::array<char, 3> priority{'<', static_cast<char>('0' + static_cast<int>(level)), '>'};
  for (const std::string_view part :
       {std::string_view{priority.data(), priority.size()}, std::string_view{process_name()},
        std::string_view{": "}, event, std::string_view{": "}, text}) {
    for (const char c : part) {
      if (size + 1 < line.size())
        line[size++] = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  line[size++] = '\n';
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.data(), size);
}

}  // namespace hsm
