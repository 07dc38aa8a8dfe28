// What strangers hand an auditor, under any bytes: a proof of a record, one of growth, the
// exchange's histories. The first byte chooses. A proof that is taken has one spelling; of a
// history that is taken, a general JSON parser reads the same.
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "hsm_signer/audit/proof.h"
#include "hsm_signer/audit_tools/history.h"
#include "hsm_signer/audit_tools/text.h"
#include "tests/fuzz/demand.h"

namespace hsm::audit_tools {
namespace {

using fuzz::demand;
using Json = nlohmann::json;

template <class Proof>
void check_proof(std::string_view text, const Result<Proof>& proof) {
  if (proof) {
    demand(proof_text(*proof) == text, "a proof has one spelling");
    demand(proof->path.size() <= audit::kProofPathLimit, "a path fits a tree");
    return;
  }
  fuzz::demand_sentence(proof.error());
  demand(proof.error().code == Code::verification_failed, "what is no proof proves nothing");
}

std::string text_of(const Json& object, const char* member) {
  if (!object.contains(member)) return {};
  const Json& value = object[member];
  return value.is_string() ? value.get<std::string>() : value.is_number() ? value.dump() : "";
}

void reads_the_same_elsewhere(std::string_view text, Event event, const std::vector<Item>& items) {
  const Json json = Json::parse(text, nullptr, false);
  demand(json.is_array() && json.size() >= items.size(), "a history is an array of its items");
  const char* id = event == Event::order ? "order_id" : event == Event::trade ? "tid" : "eid";
  std::size_t next = 0;
  for (const Json& object : json) {
    demand(object.is_object(), "an item is an object");
    // An id that is a number with a fraction or exponent may be spelled in another way there.
    const bool exact = object.contains(id) && !object[id].is_number_float();
    if (next < items.size() && (!exact || text_of(object, id) == items[next].id)) ++next;
  }
  demand(next == items.size(), "items stand in the order of the file");
}

void check_history(std::string_view text, Event event) {
  const OwnedFd fd{::memfd_create("history", MFD_CLOEXEC)};
  demand(fd.valid(), "set-up: memfd_create");
  demand(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
         "set-up: write");
  std::vector<Item> items;
  const auto read = read_history("/proc/self/fd/" + std::to_string(fd.get()), event, items);
  if (!read) {
    fuzz::demand_sentence(read.error());
    demand(read.error().code == Code::usage, "an odd history is the operator's to fetch again");
    return;
  }
  for (const Item& item : items) {
    demand(item.event == event && !item.id.empty(), "an item says which it is");
    demand(printable(printable(item.id)) == printable(item.id),
           "printable() changes nothing twice");
  }
  reads_the_same_elsewhere(text, event, items);
}

}  // namespace
}  // namespace hsm::audit_tools

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hsm;
  if (size == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  switch (data[0]) {
    case 'r':
      audit_tools::check_proof(text, audit::parse_record_proof(text));
      break;
    case 'g':
      audit_tools::check_proof(text, audit::parse_growth_proof(text));
      break;
    case 'o':
      audit_tools::check_history(text, audit_tools::Event::order);
      break;
    case 't':
      audit_tools::check_history(text, audit_tools::Event::trade);
      break;
    default:
      audit_tools::check_history(text, audit_tools::Event::transfer);
  }
  return 0;
}
