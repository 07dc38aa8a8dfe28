#include "hsm_signer/token/pin.h"

#include <algorithm>

#include "hsm_signer/token/secret_file.h"

namespace hsm::token {
namespace {

constexpr std::string_view kFileScheme = "file:";
constexpr std::size_t kLongest = 255;  // SoftHSM's limit; other tokens take less.

}  // namespace

Result<std::string> parse_pin_source(const std::string& source) {
  if (!source.starts_with(kFileScheme))
    return fail(Code::usage, "pin_source must be \"file:/path\"");
  std::string path = source.substr(kFileScheme.size());
  if (path.empty()) return fail(Code::usage, "pin_source must be \"file:/path\"");
  return path;
}

Result<Pin> read_pin(const std::string& path) {
  TRY(const SecretBytes file, read_private_file(path, "PIN file", kLongest + 1));  // A newline.
  std::size_t size = file.size();
  if (size > 0 && file.view()[size - 1] == '\n') --size;
  if (size == 0) return fail(Code::usage, "the PIN file is empty", path);
  if (size > kLongest) return fail(Code::usage, "the PIN is too long", path);
  const ByteView pin = file.view().first(size);
  if (std::find(pin.begin(), pin.end(), 0) != pin.end())
    return fail(Code::usage, "the PIN holds a NUL byte", path);
  SecretBytes ended{size + 1};
  std::copy(pin.begin(), pin.end(), ended.span().begin());
  return Pin{std::move(ended)};
}

}  // namespace hsm::token
