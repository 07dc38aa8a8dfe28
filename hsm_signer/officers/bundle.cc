#include "hsm_signer/officers/bundle.h"

#include "hsm_signer/officers/quorum.h"
#include "hsm_signer/officers/sshsig.h"
#include "hsm_signer/officers/verify.h"

namespace hsm::officers {
namespace {

// What verifies, by officers' keys; and why the rest does not count.
struct Sifted {
  std::vector<Verified> verified;
  std::string left_out;
};

// Whose key it is comes first: without that anybody could have this process compute for them.
Sifted sift(const Bundle& bundle, const AllowedOfficers& allowed) {
  Sifted sifted;
  const auto leave_out = [&](const std::string& why) {
    sifted.left_out.append(sifted.left_out.empty() ? "" : ", ").append(why);
  };
  for (const Signature& signature : bundle.signatures) {
    const Officer* const officer = allowed.owner_of(signature.public_key);
    if (officer == nullptr) {
      leave_out("a signature by nobody's key");
      continue;
    }
    auto verified = verify(signature, as_bytes(bundle.text), kNamespace);
    if (verified)
      sifted.verified.push_back(*std::move(verified));
    else
      leave_out("that of " + officer->name + " (" + verified.error().sentence() + ")");
  }
  return sifted;
}

}  // namespace

Result<Bundle> Bundle::parse(std::string_view bundle) {
  if (bundle.size() > kBundleLimit)
    return fail(Code::too_large, "the signed statement is too long",
                "the limit is " + std::to_string(kBundleLimit) + " bytes");
  Bundle parsed;
  parsed.text = bundle.substr(0, bundle.find(kSshsigBegin));  // No line of a statement begins so.
  TRY(parsed.statement, Statement::parse(parsed.text));
  std::string_view rest = bundle.substr(parsed.text.size());
  while (!rest.empty()) {
    if (parsed.signatures.size() == kMostSignatures)
      return fail(Code::too_large, "too many signatures under one statement",
                  "the limit is " + std::to_string(kMostSignatures));
    const std::size_t end = rest.find(kSshsigEnd);
    const std::string_view armored =
        end == std::string_view::npos ? rest : rest.substr(0, end + kSshsigEnd.size());
    TRY(Signature signature, Signature::from_text(armored));
    parsed.signatures.push_back(std::move(signature));
    rest.remove_prefix(armored.size());
  }
  if (parsed.signatures.empty())
    return fail(Code::invalid_payload, "a statement that nobody has signed",
                "put behind it what ssh-keygen -Y sign writes");
  return parsed;
}

std::string Bundle::to_text() const {
  std::string bundle = text;
  for (const Signature& signature : signatures) bundle += signature.to_text();
  return bundle;
}

Result<Stated> judge(std::string_view bundle, const AllowedOfficers& allowed, const Need& need,
                     Clock::Wall now) {
  TRY(Bundle parsed, Bundle::parse(bundle));
  const Sifted sifted = sift(parsed, allowed);
  auto officers = quorum(allowed, sifted.verified,
                         {.text = sha256(as_bytes(parsed.text)),
                          .group = need.group,
                          .need = need.officers,
                          .requester = parsed.statement.requester,
                          .expires = parsed.statement.expires},
                         now);
  if (officers) return Stated{std::move(parsed.statement), *std::move(officers)};
  Error refusal = std::move(officers).error();
  if (refusal.code == Code::approval_required && !sifted.left_out.empty())
    refusal.detail += "; left out: " + sifted.left_out;
  return fail(std::move(refusal));
}

}  // namespace hsm::officers
