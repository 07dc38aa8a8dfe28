// The data types of SSH (RFC 4251 section 5), each with one spelling only: what SshReader takes,
// the append functions write again byte for byte.
#pragma once

#include <cstdint>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::officers {

// Reads from the front of bytes that must outlive it. Errors are invalid_payload: `whole`, then
// `field` and what is wrong with it. Both are literals.
class SshReader {
 public:
  SshReader(ByteView bytes, std::string_view whole) : rest_{bytes}, whole_{whole} {}

  Result<Byte> byte(std::string_view field);
  Result<std::uint32_t> number(std::string_view field);
  // A string of at most `most` bytes; a view into what is read.
  Result<ByteView> string(std::string_view field, std::size_t most);
  // An mpint above zero, as its magnitude of at most `most` bytes without a leading zero byte.
  // Negative ones, zero and longer spellings than the shortest are refused.
  Result<ByteView> positive(std::string_view field, std::size_t most);
  // Refuses bytes behind what was read.
  Result<void> end() const;

  tl::unexpected<Error> refuse(std::string_view field, std::string_view why) const;

 private:
  Result<ByteView> take(std::string_view field, std::size_t size);

  ByteView rest_;
  std::string_view whole_;
};

void append_number(Bytes& out, std::uint32_t number);
void append_string(Bytes& out, ByteView bytes);
void append_string(Bytes& out, std::string_view text);

// Printable ASCII, the space included; for the names that stand in SSH strings.
bool is_printable(std::string_view text);

}  // namespace hsm::officers
