#include "hsm_signer/service/policy_gate.h"

#include <unistd.h>

#include <charconv>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/operator_file.h"

namespace hsm::service {
namespace {

std::optional<PolicyGate::Accepted> parse_accepted(std::string_view text) {
  const std::string_view sha256 = text.substr(0, text.find(' '));
  std::string_view rest = text.substr(sha256.size());
  if (sha256.size() != 64 || rest.empty()) return std::nullopt;
  rest.remove_prefix(1);
  PolicyGate::Accepted accepted{std::string{sha256}, 0};
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), accepted.serial);
  if (error != std::errc{} || end != rest.data() + rest.size()) return std::nullopt;
  return accepted;
}

}  // namespace

Result<PolicyFile> PolicyFile::load(const std::string& path, const policy::Resolver& resolver) {
  TRY(const Bytes text, read_operator_file(path, FileOwner::root_or_self));
  TRY(policy::Rules rules, policy::Rules::parse(as_text(text), path, resolver));
  return PolicyFile{path, std::make_shared<const policy::Rules>(std::move(rules)),
                    hex_encode(hsm::sha256(text))};
}

Result<std::optional<PolicyGate::Accepted>> PolicyGate::restore(
    const std::vector<state::Note>& notes) {
  if (notes.empty()) return std::optional<Accepted>{};
  auto accepted = notes.size() == 1 && notes[0].name == kAcceptedNote
                      ? parse_accepted(notes[0].value)
                      : std::nullopt;
  if (!accepted)
    return fail(Code::state_unavailable,
                "what state.db says of the policy that officers accepted is damaged");
  return accepted;
}

Result<std::string> PolicyGate::bundle_for(const PolicyFile& file, const std::string& given) const {
  const std::uint64_t serial = file.rules->serial();
  if (serial == 0 || (accepted_ && serial <= accepted_->serial))
    return fail(Code::denied, "a policy that officers state needs a serial that rises",
                file.path + " has serial " + std::to_string(serial) + ", the last accepted " +
                    std::to_string(accepted_ ? accepted_->serial : 0));
  if (!given.empty()) return given;
  const std::string beside = file.path + ".statement";
  if (::access(beside.c_str(), F_OK) == 0) {
    TRY(const Bytes text, read_file(beside, officers::kBundleLimit));
    return std::string{as_text(text)};
  }
  return fail(Code::approval_required, "officers have not stated this policy",
              people(officers_.place().administration) +
                  " have to sign what hsm-signerctl statement make policy --host " +
                  officers_.place().host + " --serial " + std::to_string(serial) + " --sha256 " +
                  file.sha256 + " writes; put it into " + beside);
}

void PolicyGate::pass(const Peer& who, const PolicyFile& file, const std::string& bundle,
                      Reply reply) {
  officers::Statement expected{.verb = officers::Verb::policy};
  expected.policy_serial = file.rules->serial();
  expected.arguments.emplace("sha256", file.sha256);
  const auto done = [this, file, reply](const Result<OfficersDesk::Stated>& stated) {
    if (!stated) return reply(fail(stated.error()));
    if (!*stated) return reply(Passed{});
    keep(file, **stated, reply);
  };
  if (!officers_.on()) return officers_.administer(who, bundle, std::move(expected), done);
  if (accepted_ && accepted_->sha256 == file.sha256) return reply(Passed{});
  const Result<std::string> text = bundle_for(file, bundle);
  if (!text) return reply(fail(text.error()));
  officers_.administer(who, *text, std::move(expected), done);
}

void PolicyGate::keep(const PolicyFile& file, const officers::Stated& stated, const Reply& reply) {
  Accepted now{file.sha256, file.rules->serial()};
  std::string value = now.sha256 + " " + std::to_string(now.serial);
  state_.put_note(
      kPolicyNotes, kAcceptedNote, std::move(value),
      [this, now = std::move(now), reply,
       passed = Passed{stated.statement.id, joined(stated.officers)}](const Result<void>& kept) {
        if (!kept) return reply(fail(kept.error()));
        accepted_ = now;
        reply(passed);
      });
}

}  // namespace hsm::service
