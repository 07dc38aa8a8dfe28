#include "hsm_signer/officers/ssh_wire.h"

#include <algorithm>
#include <string>

namespace hsm::officers {

tl::unexpected<Error> SshReader::refuse(std::string_view field, std::string_view why) const {
  return fail(Code::invalid_payload, whole_, std::string{field}.append(" ").append(why));
}

Result<ByteView> SshReader::take(std::string_view field, std::size_t size) {
  if (size > rest_.size()) return refuse(field, "is cut off");
  const ByteView taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

Result<Byte> SshReader::byte(std::string_view field) {
  TRY(const ByteView bytes, take(field, 1));
  return bytes[0];
}

Result<std::uint32_t> SshReader::number(std::string_view field) {
  TRY(const ByteView bytes, take(field, 4));
  std::uint32_t value = 0;
  for (const Byte byte : bytes) value = value << 8 | byte;
  return value;
}

Result<ByteView> SshReader::string(std::string_view field, std::size_t most) {
  TRY(const std::uint32_t size, number(field));
  if (size > most) return refuse(field, "is longer than " + std::to_string(most) + " bytes");
  return take(field, size);
}

Result<ByteView> SshReader::positive(std::string_view field, std::size_t most) {
  const std::string too_long = "is longer than " + std::to_string(most) + " bytes";
  TRY(const std::uint32_t size, number(field));
  // One byte more: a zero stands in front of a magnitude whose first bit is set.
  if (size > most + 1) return refuse(field, too_long);
  TRY(ByteView bytes, take(field, size));
  if (bytes.empty()) return refuse(field, "is zero");
  if ((bytes[0] & 0x80) != 0) return refuse(field, "is negative");
  if (bytes[0] == 0) {
    if (bytes.size() == 1 || (bytes[1] & 0x80) == 0)
      return refuse(field, "is not in its shortest form");
    bytes = bytes.subspan(1);
  }
  if (bytes.size() > most) return refuse(field, too_long);
  return bytes;
}

Result<void> SshReader::end() const {
  if (!rest_.empty())
    return fail(Code::invalid_payload, whole_,
                std::to_string(rest_.size()) + " bytes stand behind its end");
  return {};
}

void append_number(Bytes& out, std::uint32_t number) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<Byte>(number >> shift));
}

void append_string(Bytes& out, ByteView bytes) {
  append_number(out, static_cast<std::uint32_t>(bytes.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_string(Bytes& out, std::string_view text) { append_string(out, as_bytes(text)); }

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace hsm::officers
