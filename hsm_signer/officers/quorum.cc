#include "hsm_signer/officers/quorum.h"

#include <algorithm>

#include "hsm_signer/base/ids.h"

namespace hsm::officers {
namespace {

constexpr std::size_t kMostReasons = 8;  // In one sentence.

std::string joined(const std::vector<std::string>& words, std::string_view nothing) {
  if (words.empty()) return std::string{nothing};
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

// Who of one demand counts. Persons are counted, in the order of their file.
class Count {
 public:
  Count(const AllowedOfficers& allowed, const Demand& demand)
      : allowed_{allowed}, demand_{demand}, signed_(allowed.all().size()) {}

  void add(const Verified& signature) {
    if (signature.text() != demand_.text)
      return leave_out(signature.fingerprint() + " signed another text");
    const auto officer = allowed_.officer_of(signature);
    if (!officer) return leave_out(officer.error().sentence());
    if (!may_sign(**officer))
      return leave_out((*officer)->name + ((*officer)->name == demand_.requester
                                               ? " is the requester"
                                               : " is not in the group"));
    signed_[static_cast<std::size_t>(*officer - allowed_.all().data())] = true;
  }

  std::vector<std::string> names(bool who_signed) const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < signed_.size(); ++i) {
      const Officer& officer = allowed_.all()[i];
      if (may_sign(officer) && signed_[i] == who_signed) names.push_back(officer.name);
    }
    return names;
  }

  std::string refusal() const {
    const std::vector<std::string> present = names(true);
    const std::vector<std::string> absent = names(false);
    std::string text = std::to_string(demand_.need) +
                       (demand_.need == 1 ? " officer" : " distinct officers") + " of group \"" +
                       demand_.group + (demand_.need == 1 ? "\" is" : "\" are") + " needed, " +
                       std::to_string(present.size()) +
                       (present.size() == 1 ? " has signed: " : " have signed: ") +
                       joined(present, "nobody") + "; who still may: " + joined(absent, "nobody");
    if (present.size() + absent.size() < demand_.need)
      text += "; the group has too few officers who may sign this";
    if (!reasons_.empty()) text += "; not counted: " + joined(reasons_, {});
    if (left_out_ > reasons_.size())
      text += " and " + std::to_string(left_out_ - reasons_.size()) + " more";
    return text;
  }

 private:
  bool may_sign(const Officer& officer) const {
    return officer.is_in(demand_.group) && officer.name != demand_.requester;
  }
  void leave_out(std::string reason) {
    ++left_out_;
    if (reasons_.size() < kMostReasons) reasons_.push_back(std::move(reason));
  }

  const AllowedOfficers& allowed_;
  const Demand& demand_;
  std::vector<bool> signed_;
  std::vector<std::string> reasons_;
  std::size_t left_out_ = 0;
};

tl::unexpected<Error> expired(Clock::Wall expires) {
  return fail(Code::denied, "the statement has expired", "at " + rfc3339(expires));
}

}  // namespace

Result<std::vector<std::string>> quorum(const AllowedOfficers& allowed,
                                        std::span<const Verified> signatures, const Demand& demand,
                                        Clock::Wall now) {
  // An empty demand would be met by nobody having signed.
  if (demand.need == 0 || demand.group.empty())
    return fail(Code::internal, "a statement that asks for no officer");
  if (now >= demand.expires) return expired(demand.expires);
  Count count{allowed, demand};
  for (const Verified& signature : signatures) count.add(signature);
  std::vector<std::string> present = count.names(true);
  if (present.size() < demand.need)
    return fail(Code::approval_required, "not enough officers have signed", count.refusal());
  return present;
}

void UsedStatements::forget_expired(Clock::Wall now) {
  for (auto used = used_.begin(); used != used_.end();) {
    if (used->second > now) {
      ++used;
      continue;
    }
    forgotten_until_ = std::max(forgotten_until_, used->second);
    used = used_.erase(used);
  }
}

void UsedStatements::give_back(std::string_view id) {
  const auto found = used_.find(id);
  if (found != used_.end()) used_.erase(found);
}

Result<void> UsedStatements::use(std::string_view id, Clock::Wall expires, Clock::Wall now) {
  if (!is_api_key_id(id))
    return fail(Code::invalid_payload, "not the id of a statement", "1 to 64 of [A-Za-z0-9_-]");
  if (used_.contains(id))
    return fail(Code::denied, "the statement was used before", std::string{id});
  if (now >= expires || expires <= forgotten_until_) return expired(expires);
  if (expires - now > limits_.longest_life)
    return fail(Code::denied, "the statement lives too long",
                "until " + rfc3339(expires) + "; the limit is " +
                    std::to_string(limits_.longest_life.count()) + " s from now");
  forget_expired(now);
  if (used_.size() >= limits_.most)
    return fail(Code::overloaded, "too many statements were used lately",
                std::to_string(used_.size()) + " have not expired");
  used_.emplace(id, expires);
  return {};
}

}  // namespace hsm::officers
