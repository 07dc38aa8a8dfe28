#include "hsm_signer/token/last_words.h"

#include <unistd.h>

#include <filesystem>
#include <optional>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/usage_text.h"

namespace hsm::token {
namespace {

constexpr std::string_view kPrefix = "ended-";
constexpr std::size_t kFileLimit = 4096;

// A usage text and, on the last line, its signature in base64.
std::optional<wire::SignedUsage> parse(std::string_view file) {
  if (!file.ends_with('\n')) return std::nullopt;
  const std::size_t end = file.substr(0, file.size() - 1).rfind('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view text = file.substr(0, end + 1);
  const auto signature = base64_decode_canonical(file.substr(end + 1, file.size() - end - 2));
  if (!signature || !parse_usage_text(text)) return std::nullopt;
  return wire::SignedUsage{.text = std::string{text}, .signature = *signature};
}

}  // namespace

std::string LastWords::path_of(std::uint64_t worker) const {
  return directory_ + "/" + std::string{kPrefix} + std::to_string(worker);
}

std::vector<std::string> LastWords::files() const {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry{directory_, error}, end; !error && entry != end;
       entry.increment(error)) {
    // Not what write_file_atomic() has beside it.
    const std::string name = entry->path().filename();
    if (name.starts_with(kPrefix) &&
        name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos)
      found.push_back(entry->path());
  }
  return found;
}

Result<void> LastWords::keep(std::uint64_t worker, const wire::SignedUsage& usage) {
  if (files().size() >= kKept)
    return fail(Code::overloaded, "too many workers have ended since hsm-signerd sealed its log",
                std::to_string(kKept) + " files ended-* in " + directory_);
  const std::string file = usage.text + base64_encode(usage.signature) + "\n";
  return write_file_atomic(path_of(worker), as_bytes(file), 0600, Code::state_unavailable);
}

std::vector<wire::SignedUsage> LastWords::kept() const {
  std::vector<wire::SignedUsage> kept;
  for (const std::string& path : files()) {
    if (kept.size() == kListed) break;
    const auto file = read_file(path, kFileLimit, Code::state_unavailable);
    if (!file) continue;
    if (auto usage = parse(as_text(*file))) kept.push_back(*std::move(usage));
  }
  return kept;
}

void LastWords::forget(std::uint64_t worker) { ::unlink(path_of(worker).c_str()); }

}  // namespace hsm::token
