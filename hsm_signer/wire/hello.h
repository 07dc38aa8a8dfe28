// Messages of every socket: the greeting that must come first, and the error.
#pragma once

#include "hsm_signer/wire/message.h"

namespace hsm::wire {

// First frame of a connection; the answer has the same form. A version that the other side does not
// speak gets protocol_error.
struct Hello {
  static constexpr Type kType = Type::hello;
  std::uint32_t version = kProtocolVersion;
  std::string program;  // "hsm-signerctl/0.1.0", for logs; at most 64 printable ASCII characters.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.version);
    visit.optional(2, self.program);
  }
};

struct Failure {
  static constexpr Type kType = Type::error;
  std::string code;  // As name(Code) spells it.
  std::string sentence;
  std::uint32_t retry_after_ms = 0;
  std::uint64_t ck_rv = 0;  // From hsm-tokend to hsm-signerd only, for its log.
  std::string approval;     // With approval_required: the id of what waits for officers.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.code);
    visit.required(2, self.sentence);
    visit.optional(3, self.retry_after_ms);
    visit.optional(4, self.ck_rv);
    visit.optional(5, self.approval);
  }
};

// An answer without content ("done").
struct Done {
  bool operator==(const Done&) const = default;
  template <class Self, class Visit>
  static void fields(Self&, Visit&) {}
};

Failure to_failure(const Error& error);
Error to_error(const Failure& failure);

}  // namespace hsm::wire
