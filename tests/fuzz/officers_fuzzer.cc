// An allowed_officers file under any bytes. What is taken keeps its promises (each key is one
// person's, each person has a name, a key and a group) and means the same when written again.
#include <set>
#include <string>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/officers/allowed.h"
#include "tests/fuzz/demand.h"
#include "tests/fuzz/toml_text.h"

namespace hsm::officers {
namespace {

using fuzz::demand;

constexpr std::string_view kFile = "allowed_officers";

Result<AllowedOfficers> parse(std::string_view text) {
  return AllowedOfficers::parse(text, std::string{kFile});
}

void keeps_its_promises(const AllowedOfficers& allowed) {
  std::set<std::string> names;
  std::set<Bytes> materials;
  for (const Officer& officer : allowed.all()) {
    demand(is_name(officer.name) && names.insert(officer.name).second, "a name is one person's");
    demand(!officer.keys.empty() && !officer.groups.empty(), "who can do nothing is refused");
    for (const OfficerKey& key : officer.keys) {
      demand(materials.insert(key.material).second, "a key is one person's, once");
      demand(allowed.owner_of(key.blob) == &officer, "and found as theirs");
      demand(officer.require == Require::presence || is_security_key(key.type),
             "nobody is asked for what their key cannot show");
    }
    for (const std::string& group : officer.groups)
      demand(is_name(group) && officer.is_in(group), "a group is a name");
    demand(!officer.is_in(""), "nobody is in no group");
  }
  demand(allowed.owner_of({}) == nullptr, "no key is nobody's");
}

std::string written_again(const AllowedOfficers& allowed) {
  fuzz::TomlText out;
  out.number("version", 1);
  for (const Officer& officer : allowed.all()) {
    std::vector<std::string> lines;
    for (const OfficerKey& key : officer.keys)
      lines.push_back(std::string{name(key.type)} + " " + base64_encode(key.blob));
    out.header("[[officer]]").texts("keys", lines).texts("groups", officer.groups);
    if (officer.require == Require::verification) out.text("require", "verification");
    out.text("name", officer.name);
  }
  return out.str();
}

void means_the_same(const AllowedOfficers& a, const AllowedOfficers& b) {
  demand(a.all().size() == b.all().size(), "as many persons");
  for (std::size_t i = 0; i < a.all().size(); ++i) {
    const Officer& one = a.all()[i];
    const Officer& other = b.all()[i];
    demand(one.name == other.name && one.groups == other.groups && one.require == other.require &&
               one.keys.size() == other.keys.size(),
           "a person is the same person");
    for (std::size_t k = 0; k < one.keys.size(); ++k)
      demand(one.keys[k].blob == other.keys[k].blob &&
                 one.keys[k].fingerprint == other.keys[k].fingerprint,
             "with the same keys");
  }
}

void check(std::string_view text) {
  const auto allowed = parse(text);
  if (!allowed) {
    fuzz::demand_sentence(allowed.error());
    demand(allowed.error().code == Code::usage && allowed.error().detail.starts_with(kFile),
           "a mistake has its place");
    return;
  }
  keeps_its_promises(*allowed);
  const std::string again = written_again(*allowed);
  const auto second = parse(again);
  demand(second.has_value(), "a file written again is taken");
  means_the_same(*allowed, *second);
  demand(!parse(again + "no_key_of_any_table = 1\n"), "unknown keys are refused");
  if (allowed->all().empty()) return;
  const std::string twice =
      again + written_again(*allowed).substr(std::string{"version = 1\n"}.size());
  demand(!parse(twice), "nobody stands twice");
}

}  // namespace
}  // namespace hsm::officers

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::officers::check(hsm::fuzz::text_of(data, size));
  return 0;
}
