#include "hsm_signer/token/spent.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>

namespace hsm::token {
namespace {

constexpr std::string_view kFirstLine = "hsm-tokend spent statements v1\n";
constexpr std::string_view kForgotten = "forgotten-until";
constexpr std::size_t kSpentLimit = 1 << 20;  // 4,096 lines of at most 93 bytes, and more.

// Ends with its holder, however that ends.
class Lock {
 public:
  static Result<Lock> take(int fd, const std::string& path) {
    while (::flock(fd, LOCK_EX) != 0) {
      if (errno != EINTR)
        return fail(os_error(Code::state_unavailable, "cannot lock the spent statements", path));
    }
    return Lock{fd};
  }
  Lock(Lock&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Lock& operator=(Lock&&) = delete;
  Lock(const Lock&) = delete;  // The first to end would unlock under its twin.
  Lock& operator=(const Lock&) = delete;
  ~Lock() {
    if (fd_ >= 0) ::flock(fd_, LOCK_UN);
  }

 private:
  explicit Lock(int fd) : fd_{fd} {}
  int fd_;
};

void append_line(std::string& text, std::string_view name, Clock::Wall time) {
  text.append(name).append(" ").append(rfc3339(time)).append("\n");
}

std::string written(const officers::UsedStatements& used) {
  std::string text{kFirstLine};
  append_line(text, kForgotten, used.forgotten_until());
  for (const auto& [id, expires] : used.used()) append_line(text, id, expires);
  return text;
}

// "NAME TIME\n" off the front of `text`.
std::optional<std::pair<std::string, Clock::Wall>> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::size_t blank = text.substr(0, end).find(' ');
  if (end == std::string_view::npos || blank == std::string_view::npos) return std::nullopt;
  const auto time = parse_rfc3339(text.substr(blank + 1, end - blank - 1));
  if (!time) return std::nullopt;
  std::pair line{std::string{text.substr(0, blank)}, *time};
  text.remove_prefix(end + 1);
  return line;
}

std::optional<officers::UsedStatements> parse(std::string_view text) {
  const std::string_view whole = text;
  if (!text.starts_with(kFirstLine)) return std::nullopt;
  text.remove_prefix(kFirstLine.size());
  const auto forgotten = take_line(text);
  if (!forgotten || forgotten->first != kForgotten) return std::nullopt;
  officers::UsedStatements::Expiries expiries;
  while (!text.empty()) {
    auto line = take_line(text);
    if (!line) return std::nullopt;
    expiries.insert(*std::move(line));
  }
  officers::UsedStatements used{{}, std::move(expiries), forgotten->second};
  if (written(used) != whole) return std::nullopt;  // An id twice, out of order.
  return used;
}

}  // namespace

Result<SpentStatements> SpentStatements::open(const std::string& directory) {
  OwnedFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return fail(os_error(Code::state_unavailable, "cannot open", directory));
  return SpentStatements{directory + "/spent", std::move(fd)};
}

Result<officers::UsedStatements> SpentStatements::read() const {
  if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return officers::UsedStatements{};
  TRY(const Bytes bytes, read_file(path_, kSpentLimit, Code::state_unavailable));
  auto used = parse(as_text(bytes));
  if (!used)
    return fail(Code::state_unavailable,
                "the list of spent statements is damaged; remove it when all have expired that "
                "were signed, a day after the last at most",
                path_);
  return *std::move(used);
}

Result<void> SpentStatements::spend(const std::string& id, Clock::Wall expires, Clock::Wall now) {
  TRY(const Lock lock, Lock::take(directory_.get(), path_));
  TRY(officers::UsedStatements used, read());
  TRY_VOID(used.use(id, expires, now));
  return write_file_atomic(path_, as_bytes(written(used)), 0600, Code::state_unavailable);
}

}  // namespace hsm::token
