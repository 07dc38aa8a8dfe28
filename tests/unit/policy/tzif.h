// Time zone files that a test makes (RFC 8536 section 3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"

namespace hsm::policy {

struct Tzif {
  struct Change {
    std::int64_t at;
    std::uint8_t type;
  };
  std::string magic = "TZif2";
  std::vector<Change> changes = {};
  std::vector<std::int32_t> offsets = {0, 3600};  // By type, in seconds.
  std::string footer = "UTC0";

  Bytes bytes() const {
    Bytes out;
    const auto put = [&out](std::uint64_t value, int size) {
      for (int i = size - 1; i >= 0; --i) out.push_back(static_cast<Byte>(value >> (8 * i)));
    };
    const auto text = [&out](const std::string& t) { out.insert(out.end(), t.begin(), t.end()); };
    const auto header = [&](std::size_t times, std::size_t types) {
      text(magic + std::string(15, '\0'));
      for (const std::size_t count :
           {std::size_t{0}, std::size_t{0}, std::size_t{0}, times, types, std::size_t{1}})
        put(count, 4);
    };
    header(0, 1);
    text(std::string(7, '\0'));  // One type and the empty abbreviation, for readers of version 1.
    header(changes.size(), offsets.size());
    for (const Change& change : changes) put(static_cast<std::uint64_t>(change.at), 8);
    for (const Change& change : changes) out.push_back(change.type);
    for (const std::int32_t offset : offsets) {
      put(static_cast<std::uint32_t>(offset), 4);
      put(0, 2);
    }
    text(std::string(1, '\0') + "\n" + footer + "\n");
    return out;
  }
};

}  // namespace hsm::policy
