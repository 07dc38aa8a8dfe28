// A statement of officers, alone and with signatures under it. What is taken has one spelling, and
// nobody comes to have signed by mutation.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "hsm_signer/officers/bundle.h"
#include "tests/fuzz/demand.h"

namespace hsm::officers {
namespace {

using fuzz::demand;

// The corpus holds statements that they have signed, so that mutants come close to counting. Their
// private keys were thrown away.
constexpr std::string_view kOfficers =
    "version = 1\n"
    "[[officer]]\nname = \"alice\"\ngroups = [\"officers\"]\nkeys = [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIJiA+HTTvUPqSv780p2z1rB49W/tzKSFpN23J6Edttes\"]\n"
    "[[officer]]\nname = \"bob\"\ngroups = [\"officers\"]\nkeys = [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIEL4Q0KKYR7RZ7tz6RxVj8JTBmq4LVI5A6my5YRN4SnX\"]\n";
constexpr Clock::Wall kNow{std::chrono::seconds{1'800'000'000}};

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); });
}

void reads_statement(std::string_view text) {
  const auto statement = Statement::parse(text);
  if (!statement) {
    fuzz::demand_sentence(statement.error());
    demand(is_plain(statement.error().sentence()), "a refusal disturbs no terminal");
    return;
  }
  demand(is_plain(text) && text.ends_with('\n'), "a statement disturbs no terminal");
  const auto again = statement->to_text();
  demand(again.has_value() && *again == text, "a statement has one text");
  demand(!Statement::parse(std::string{text} + "\n"), "an empty line behind it is refused");
  demand(!Statement::parse(text.substr(0, text.size() - 1)), "so is a last line without its end");
  demand(!statement->host.empty() && !statement->id.empty(),
         "each says where, and which one it is");
  demand(statement->payload.empty() || statement->verb == Verb::approve,
         "a payload is there to be approved");
}

void reads_bundle(std::string_view text) {
  const auto bundle = Bundle::parse(text);
  if (!bundle) {
    fuzz::demand_sentence(bundle.error());
    return;
  }
  demand(bundle->to_text() == text, "a signed statement has one text");
  demand(!bundle->signatures.empty() && bundle->signatures.size() <= kMostSignatures,
         "it has signatures, and not too many");
  const auto alone = Statement::parse(bundle->text);
  demand(alone && *alone == bundle->statement, "what stands over the signatures is the statement");
  demand(!Bundle::parse(bundle->text), "without signatures it is no bundle");
}

void judges(std::string_view text) {
  static const auto officers = AllowedOfficers::parse(kOfficers, "allowed_officers");
  demand(officers.has_value(), "set-up: officers");
  for (const std::uint32_t need : {1U, 2U}) {
    const auto stated = judge(text, *officers, {"officers", need}, kNow);
    if (!stated) {
      fuzz::demand_sentence(stated.error());
      continue;
    }
    demand(stated->officers.size() >= need, "as many have signed as are needed");
    demand(stated->statement.expires > kNow, "and it has not expired");
    demand(!judge(text, *officers, {"officers", 3}, kNow), "no more than there are have");
    demand(!judge(text, *officers, {"treasury", need}, kNow), "nobody of another group has");
    demand(!judge(text, *officers, {"officers", need}, stated->statement.expires),
           "and it does expire");
  }
}

}  // namespace
}  // namespace hsm::officers

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = hsm::fuzz::text_of(data, size);
  hsm::officers::reads_statement(text);
  hsm::officers::reads_bundle(text);
  hsm::officers::judges(text);
  return 0;
}
