// Messages of admin.sock for the policy (docs/policy.md, "Reload").
#pragma once

#include "hsm_signer/wire/hello.h"

namespace hsm::wire {

// Reads the policy's file again and puts it in force; nothing changes where it has an error.
struct ReloadPolicy {
  static constexpr Type kType = Type::reload_policy;
  std::string statement;

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.optional(1, self.statement);
  }
};

struct BegunWindow {
  std::string window;  // For people.

  bool operator==(const BegunWindow&) const = default;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.window);
  }
};

struct PolicyInForce {
  std::string old_sha256;
  std::string sha256;
  std::uint64_t old_serial = 0;
  std::uint64_t serial = 0;
  std::uint32_t clients = 0;
  std::uint32_t rules = 0;
  std::uint32_t begun = 0;           // How many windows may lack what was signed before,
  std::vector<BegunWindow> windows;  // and the first of them.

  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit.required(1, self.old_sha256);
    visit.required(2, self.sha256);
    visit.required(3, self.old_serial);
    visit.required(4, self.serial);
    visit.required(5, self.clients);
    visit.required(6, self.rules);
    visit.required(7, self.begun);
    visit.optional(8, self.windows);
  }
};

}  // namespace hsm::wire
