#include "hsm_signer/service/panic.h"

#include <algorithm>
#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

constexpr const char* kCancelAll = "/v1/order/cancel/all";
constexpr const char* kBurn = "/v1/heartbeat";
static_assert(kBurnEndpoint == kBurn);

wire::PanicStep step(const char* name, const Result<void>& done) {
  if (done) return {.step = name, .code = {}, .sentence = {}};
  return {.step = name,
          .code = std::string{hsm::name(done.error().code)},
          .sentence = done.error().sentence()};
}

// Puts what came of a signature where the answer has it.
wire::PanicStep step(const char* name, Result<wire::Signed> answer,
                     std::vector<wire::Signed>& out) {
  if (!answer) return step(name, fail(answer.error()));
  out.push_back(*std::move(answer));
  return step(name, Result<void>{});
}

std::string said(const wire::PanicStep& step) {
  return step.step + ": " + (step.code.empty() ? "done" : step.code);
}

}  // namespace

// One panic from its frame to its answer.
struct Panic::Course {
  Peer who;
  wire::Panic ask;
  keystore::KeyVersion version;
  Reply reply;
  wire::Panicked answer{};
};

void Panic::run(const Peer& who, const wire::Panic& ask, Reply reply) {
  const keystore::KeyVersion* version = parts_.task.registry.active(ask.key);
  if (version == nullptr) version = parts_.task.registry.newest(ask.key);
  if (version == nullptr)
    return reply(fail(Code::denied, "there is no such key; see hsm-signerctl key list"));
  if (!ask.account.empty() && !is_api_key_id(ask.account))
    return reply(fail(Code::usage, "an account is 1 to 64 of [A-Za-z0-9_-]"));
  if (!policy::is_reason(ask.reason))
    return reply(fail(Code::usage, "a reason is printable ASCII, at most 200 characters"));
  auto course = std::make_shared<Course>(
      Course{.who = who, .ask = ask, .version = *version, .reply = std::move(reply)});
  course->answer.nonce_form = std::string{nonce::name(version->nonce_form)};
  freeze(course);
}

// The exchange knows the API key, not what we call it: under another name it would go on signing
// above the burnt nonce.
std::vector<std::string> Panic::names_of(const ApiKeyId& id) const {
  std::vector<std::string> names;
  for (const keystore::KeyVersion* version : parts_.task.registry.all()) {
    if (version->api_key_id == id && (names.empty() || names.back() != version->key.value))
      names.push_back(version->key.value);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// In force when set() returns; the answer waits until a restart would know it too. That can take
// as long as a disk hangs, so signing does not wait for it.
void Panic::freeze(const std::shared_ptr<Course>& course) {
  course->answer.steps.resize(3);
  ++unfinished_;
  const std::vector<std::string> names = names_of(course->version.api_key_id);
  const auto joined = std::make_shared<std::size_t>(names.size() + 1);
  const auto join = [this, course, joined] {
    if (--*joined == 0) end(course);
  };
  course->answer.steps[0] = step("freeze", Result<void>{});
  for (const std::string& key : names) {
    if (key != course->ask.key) course->answer.also_frozen.push_back({key});
    parts_.switches.set(
        course->who, {.kind = "key", .name = key, .what = "frozen", .reason = course->ask.reason},
        [course, join](const Result<wire::Done>& done) {
          if (!done) course->answer.steps[0] = step("freeze", fail(done.error()));
          join();
        });
  }
  cancel(course, join);
}

void Panic::cancel(const std::shared_ptr<Course>& course, std::function<void()> then) {
  sign(*course, kCancelAll, [this, course, then = std::move(then)](Result<wire::Signed> answer) {
    course->answer.steps[1] = step("cancel_all", std::move(answer), course->answer.cancel_all);
    burn(course, then);
  });
}

void Panic::burn(const std::shared_ptr<Course>& course, std::function<void()> then) {
  sign(*course, kBurn, [course, then = std::move(then)](Result<wire::Signed> answer) {
    course->answer.steps[2] = step("burn", std::move(answer), course->answer.burn);
    then();
  });
}

Result<PanicTask::Facts> Panic::facts_of(const Course& course, const char* request) const {
  const keystore::KeyVersion& version = course.version;
  if (version.state != VersionState::active)
    return fail(Code::key_not_active, "the key has no active version");
  if (version.scope == Scope::master && course.ask.account.empty())
    return fail(Code::usage, "a master key's orders are taken back by account: add --account NAME");
  const auto token = parts_.task.pool.index_of(version.token.value);
  if (!token) return fail(Code::token_unavailable, "the key's token is not in signer.toml");
  TRY(const nonce::MarkIndex mark, parts_.task.nonces.open(version));
  std::string text = std::string{R"({"request":")"} + request + "\"";
  if (!course.ask.account.empty()) text += R"(,"account":")" + course.ask.account + "\"";
  TRY(venue::Payload payload, venue::Payload::parse_request(text + "}"));
  const Clock::Steady now = parts_.task.clock.steady();
  return PanicTask::Facts{.who = course.who,
                          .version = version,
                          .token = *token,
                          .mark = mark,
                          .payload = std::move(payload),
                          .arrived = now,
                          .deadline = now + parts_.deadline};
}

void Panic::sign(const Course& course, const char* request, SignReply reply) {
  Result<PanicTask::Facts> facts = facts_of(course, request);
  if (!facts) return reply(fail(facts.error()));
  const Clock::Steady deadline = facts->deadline;
  ++unfinished_;
  SignReply ended = [this, in_time = parts_.deadlines.watch(std::move(reply), deadline)](
                        Result<wire::Signed> answer) {
    --unfinished_;
    in_time(std::move(answer));
  };
  PanicTask::submit(std::make_unique<PanicTask>(parts_.task, *std::move(facts), std::move(ended)));
}

void Panic::end(const std::shared_ptr<Course>& course) {
  wire::Panicked& answer = course->answer;
  Released& released = parts_.task.ledger.released();
  const ApiKeyId& id = course->version.api_key_id;
  Released::Unspent unspent =
      released.unspent(id, course->version.nonce_form, parts_.task.clock.wall());
  for (Released::Item& item : unspent.items) {
    const bool ours = (!answer.cancel_all.empty() && answer.cancel_all[0].nonce == item.nonce) ||
                      (!answer.burn.empty() && answer.burn[0].nonce == item.nonce);
    if (ours) continue;
    answer.unspent.push_back({.audit_sequence = item.sequence,
                              .endpoint = std::move(item.endpoint),
                              .nonce = std::move(item.nonce),
                              .time = rfc3339(item.time)});
  }
  answer.unspent_more = unspent.more;
  if (!answer.burn.empty()) released.burnt(id, answer.burn[0].nonce);
  audit::Record event = audit::Record::admin_event(course->who, "panic", "key:" + course->ask.key);
  event.reason = course->ask.reason;
  for (const wire::PanicStep& one : answer.steps)
    event.detail.append(event.detail.empty() ? "" : ", ").append(said(one));
  for (const wire::KeyNameItem& name : answer.also_frozen)
    event.detail.append(", also frozen: ").append(name.key);
  log(Level::warning, "panic", event.subject + ": " + event.detail);
  parts_.task.ledger.event(std::move(event));
  --unfinished_;
  course->reply(std::move(answer));
}

}  // namespace hsm::service
