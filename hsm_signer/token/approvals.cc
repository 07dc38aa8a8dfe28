#include "hsm_signer/token/approvals.h"

#include "hsm_signer/token/mode.h"

namespace hsm::token {
namespace {

std::string demand_text(const Quorum& quorum) {
  return std::to_string(quorum.need) + (quorum.need == 1 ? " officer" : " distinct officers") +
         " of group \"" + quorum.group + "\"";
}

}  // namespace

Result<officers::AllowedOfficers> load_officers(const Config& config, const Ceilings& ceilings) {
  if (!ceilings.demand_officers()) return officers::AllowedOfficers{};
  if (config.allowed_officers.empty())
    return fail(
        Code::usage, "ceilings demand officers, and no file says who they are",
        config.file + " needs a line as allowed_officers = \"/etc/hsm-tokend/allowed_officers\"");
  TRY(const Bytes bytes, read_operator_file(config.allowed_officers, owner_of_files(config.mode)));
  return officers::AllowedOfficers::parse(as_text(bytes), config.allowed_officers);
}

Result<Approvals> Approvals::open(const Config& config, const Ceilings& ceilings) {
  if (!ceilings.demand_officers()) return Approvals{};
  TRY(auto officers, load_officers(config, ceilings));
  // At the start once: who changes the name restarts hsm-tokend.
  TRY(std::string host, host_name());
  TRY_VOID(officers::check_host(host));
  TRY(SpentStatements spent, SpentStatements::open(config.state_dir));
  return Approvals{{std::move(host), config.token, std::move(officers)}, std::move(spent)};
}

Result<officers::Stated> Approvals::judge(const Demanded& demanded, const Ceiling& ceiling,
                                          std::string_view key_name, std::string_view bundle,
                                          Clock::Wall now) const {
  if (bundle.empty())
    return fail(Code::approval_required, "officers have to state this request",
                "class " + std::string{venue::name(demanded.cls)} + " needs a statement of " +
                    demand_text(demanded.quorum));
  TRY(auto stated,
      officers::judge(bundle, place_.officers, {demanded.quorum.group, demanded.quorum.need}, now));
  // The api-key-id, the client and the policy are hsm-signerd's to know.
  officers::Statement expected{.verb = officers::Verb::approve,
                               .host = place_.host,
                               .key = std::string{key_name},
                               .environment = std::string{name(ceiling.environment)},
                               .payload = demanded.payload,
                               .arguments = {{"token", place_.token}}};
  TRY_VOID(officers::check_says(stated.statement, expected));
  return stated;
}

Result<void> Approvals::spend(const officers::Statement& statement, Clock::Wall now) {
  if (!spent_) return fail(Code::internal, "a statement where no ceiling demands one");
  return spent_->spend(statement.id, statement.expires, now);
}

}  // namespace hsm::token
