// allowed_officers: the persons whose statements count, and their keys. hsm-signerd and hsm-tokend
// have one each; who reads the file judges its owner first, as that of ceilings.toml.
//
//   version = 1
//   [[officer]]
//   name = "alice"
//   keys = ["sk-ssh-ed25519@openssh.com AAAA… alice@desk"]
//   groups = ["officers"]
//   require = "verification"
//
// `require` is for security keys: "presence", somebody touched the key, which every such key has to
// show anyway; "verification", they also gave its PIN or finger. Since other keys can show neither,
// whoever has `require` has security keys only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/officers/ssh_key.h"
#include "hsm_signer/officers/verify.h"

namespace hsm::officers {

enum class Require : std::uint8_t { presence, verification };

struct OfficerKey {
  KeyType type{};
  Bytes blob;
  Bytes material;
  std::string fingerprint;
};

// A person: all keys together count once.
struct Officer {
  std::string name;
  std::vector<OfficerKey> keys;
  std::vector<std::string> groups;
  Require require = Require::presence;

  bool is_in(std::string_view group) const;
};

class AllowedOfficers {
 public:
  // Refuses with file:line:column what TOML or this format does not know, a name that stands twice,
  // and a key that stands twice, under one person or two and as whichever type it is written.
  static Result<AllowedOfficers> parse(std::string_view text, const std::string& file_name);

  // Who signed. denied: nobody's key, or a security key that was not touched or, where it must be,
  // not unlocked. Lives as long as this.
  Result<const Officer*> officer_of(const Verified& signature) const;
  // Whose key that is, null for nobody's: to be asked before a signature is verified at all.
  const Officer* owner_of(ByteView key_blob) const;
  const std::vector<Officer>& all() const { return officers_; }

 private:
  std::vector<Officer> officers_;
};

}  // namespace hsm::officers
