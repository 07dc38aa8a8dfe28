#include "hsm_signer/service/pending.h"

#include <algorithm>
#include <utility>

namespace hsm::service {
namespace {

tl::unexpected<Error> too_many(const std::string& whose, std::size_t limit) {
  return fail(Code::overloaded, "too many requests wait for officers",
              whose + ", the limit is " + std::to_string(limit) +
                  "; hsm-signerctl approvals reject takes some out");
}

Clock::Wall wall(std::uint64_t micros) { return Clock::Wall{std::chrono::microseconds{micros}}; }

}  // namespace

officers::Statement Pending::statement(const std::string& host) const {
  return {.verb = officers::Verb::approve,
          .host = host,
          .id = id,
          .key = key,
          .api_key_id = api_key_id,
          .environment = environment,
          .client = client,
          .requester = requester,
          .payload = payload,
          .policy_serial = policy_serial,
          .arguments = {{"token", token}},
          .expires = ends()};
}

wire::ApprovalItem Pending::item() const {
  return {.id = id,
          .state = releasing ? "releasing" : "pending",
          .client = client,
          .key = key,
          .api_key_id = api_key_id,
          .environment = environment,
          .endpoint = endpoint,
          .rule = rule,
          .group = group,
          .need = need,
          .officers = officers,
          .requester = requester,
          .created = rfc3339(wall(created)),
          .expires = rfc3339(wall(expires)),
          .remark = remark,
          .text = {}};
}

std::string Pending::to_note() const {
  Bytes frame;
  // All of it is bounded below a frame: the statement by 20 KiB, the request by 6, signatures by
  // eight of some 3 KiB.
  if (!wire::encode(frame, wire::Type{}, 0, *this)) return {};
  return base64_encode(frame);
}

Result<Pending> Pending::from_note(const std::string& value) {
  const auto read = [&]() -> Result<Pending> {
    TRY(const Bytes bytes, base64_decode_canonical(value));
    if (bytes.size() < wire::kLengthSize) return fail(Code::protocol_error, "cut off");
    TRY(const wire::FrameView frame,
        wire::FrameView::parse(ByteView{bytes}.subspan(wire::kLengthSize)));
    return wire::decode<Pending>(frame);
  };
  Result<Pending> pending = read();
  if (pending) return pending;
  return fail(Code::state_unavailable, "the note of a request that waits for officers is damaged",
              pending.error().sentence());
}

Result<Pending*> PendingApprovals::add(Pending pending) {
  std::size_t& of_client = of_client_[pending.client];
  if (of_client >= limits_.of_client)
    return too_many("client \"" + pending.client + "\"", limits_.of_client);
  if (by_id_.size() >= limits_.most) return too_many("all clients together", limits_.most);
  ++of_client;
  by_asked_.insert_or_assign(pending.asked, pending.id);
  std::string id = pending.id;
  return &by_id_.insert_or_assign(std::move(id), std::move(pending)).first->second;
}

Pending* PendingApprovals::find(std::string_view id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

Pending* PendingApprovals::asked_for(std::string_view asked) {
  const auto found = by_asked_.find(asked);
  return found == by_asked_.end() ? nullptr : find(found->second);
}

void PendingApprovals::erase(std::string_view id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  const Pending& pending = found->second;
  if (--of_client_[pending.client] == 0) of_client_.erase(pending.client);
  const auto asked = by_asked_.find(pending.asked);
  if (asked != by_asked_.end() && asked->second == pending.id) by_asked_.erase(asked);
  by_id_.erase(found);
}

std::vector<std::string> PendingApprovals::expire(Clock::Wall now) {
  std::vector<std::string> over;
  for (const auto& [id, pending] : by_id_)
    if (pending.ends() <= now && !pending.releasing) over.push_back(id);
  for (const std::string& id : over) erase(id);
  return over;
}

std::vector<const Pending*> PendingApprovals::all() const {
  std::vector<const Pending*> all;
  for (const auto& [id, pending] : by_id_) all.push_back(&pending);
  std::stable_sort(all.begin(), all.end(),
                   [](const Pending* a, const Pending* b) { return a->created < b->created; });
  return all;
}

}  // namespace hsm::service
