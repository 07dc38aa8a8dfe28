// Frames through the real Dispatcher of hsm-tokend, on either socket. The first byte chooses the
// socket (bit 0) and whether a MAC's message and a wrapped key are spelled out plainly (bit 1):
// they are then base64-encoded and encrypted here, which random changes to a ready frame would
// never get right. A vault between dispatcher and keys sees every call that reaches the token.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "hsm_signer/base/log.h"
#include "tests/fuzz/watched_token.h"
#include "tests/support/every_message.h"
#include "tests/support/fake_clock.h"

namespace hsm::token {
namespace {

using wire::Type;

// docs/protocol.md, "Token host" and "Token host, administration". `list` alone is on both.
constexpr std::array kSigning{Type::info,      Type::mac,    Type::list,
                              Type::key_check, Type::forget, Type::sign_checkpoint,
                              Type::usage};
constexpr std::array kAdmin{Type::import, Type::destroy, Type::generate, Type::wrap_key,
                            Type::list};

bool has(Role role, Type type) {
  if (role == Role::signing)
    return std::find(kSigning.begin(), kSigning.end(), type) != kSigning.end();
  return std::find(kAdmin.begin(), kAdmin.end(), type) != kAdmin.end();
}

bool decodes(const wire::FrameView& frame, Type as) {
  bool good = false;
  wire::for_each_message([&]<class Message>(Type type, const std::string&) {
    if (type == as) good = wire::decode<Message>(frame).has_value();
  });
  return good;
}

// A frame whose plain parts have become what travels.
Result<Bytes> made_ready(const wire::FrameView& frame) {
  Bytes out;
  if (frame.type() == Type::mac) {
    TRY(auto request, wire::decode<wire::MacRequest>(frame));
    const std::string base64 = base64_encode(request.message);
    request.message.assign(base64.begin(), base64.end());
    TRY_VOID(wire::encode(out, frame.type(), frame.id(), request));
    return out;
  }
  TRY(auto request, wire::decode<wire::Import>(frame));
  TRY(const SecretBytes secret, wire::canonical_secret(SecretBytes::copy_of(request.blob)));
  TRY(const std::string pem, WatchedVault::keys().wrap_key_pem());
  TRY(const wire::WrappedKey wrapped, wire::wrap(secret, pem));
  request.blob = wrapped.encode();
  TRY_VOID(wire::encode(out, frame.type(), frame.id(), request));
  return out;
}

Rates open_rates() {
  std::string path = "/tmp/hsm-fuzz-XXXXXX";
  demand(::mkdtemp(path.data()) != nullptr, "set-up: mkdtemp");
  auto rates = Rates::open(path + "/rates");
  demand(rates.has_value(), "set-up: Rates::open");
  // The mapping lives on; nothing is left behind however this process ends.
  ::unlink((path + "/rates").c_str());
  ::rmdir(path.c_str());
  return *std::move(rates);
}

class Connection {
 public:
  Connection(Role role, const Ceilings& ceilings, Rates& rates, const Clock& clock)
      : role_{role},
        ceilings_{ceilings},
        vault_{role},
        keys_{role},
        to_{Host{.role = role,
                 .vault = vault_,
                 .service_keys = keys_,
                 .profile = **find_profile("softhsm"),
                 .accept_unfit_token = false,
                 .ceilings = ceilings,
                 .approvals = nobody_,
                 .rates = rates,
                 .last_words = nothing_kept_,
                 .clock = clock,
                 .info = {.token = "desk",
                          .profile = "fake",
                          .workers = 1,
                          .depth = 4,
                          .worker_id = kWorkerId,
                          .payload_limit = kPayloadLimit,
                          .audit_key = {}}}} {}

  // False once the connection is closed.
  bool send(const wire::FrameView& frame) {
    const bool opening = !to_.greeted();
    vault_.clear_last();
    keys_.asked(frame.type());
    Bytes out{0xee};  // Answers are appended.
    const auto answered = to_.answer(frame, out);
    const bool known = opening ? frame.type() == Type::hello : has(role_, frame.type());
    const bool wanted = known && decodes(frame, frame.type()) && (!opening || speaks(frame));
    demand(answered.has_value() == wanted,
           "a frame is answered just where this socket has it and it decodes");
    if (!answered) {
      demand(answered.error().code == Code::protocol_error && out.size() == 1,
             "a connection is closed without an answer");
      demand(!vault_.last(), "nothing is signed for a frame that is not answered");
      return false;
    }
    demand(out[0] == 0xee, "what was there before an answer stays");
    check_answer(frame, ByteView{out}.subspan(1));
    return true;
  }

 private:
  static bool speaks(const wire::FrameView& frame) {
    const auto hello = wire::decode<wire::Hello>(frame);
    return hello && hello->version == wire::kProtocolVersion;
  }

  void check_answer(const wire::FrameView& frame, ByteView out) {
    demand(out.size() >= wire::kLengthSize &&
               out.size() == wire::kLengthSize + wire::load<std::uint32_t>(out),
           "one frame answers one frame");
    const auto answer = wire::FrameView::parse(out.subspan(wire::kLengthSize));
    demand(answer && answer->id() == frame.id(), "an answer is a frame with the question's id");
    demand(decodes(*answer, answer->type()), "an answer decodes");
    if (answer->type() == Type::error) return check_refusal(*answer);
    demand(answer->type() == wire::answer_to(frame.type()), "an answer is of its question's type");
    if (frame.type() == Type::mac) return check_mac(frame, *answer);
    demand(!vault_.last(), "only mac signs");
    if (frame.type() == Type::list) {
      const auto list = wire::decode<wire::ObjectList>(*answer);
      demand(list->total == vault_.list()->size() && list->objects.size() <= list->total,
             "a list says how many there are");
    }
  }

  void check_refusal(const wire::FrameView& answer) {
    const auto failure = wire::decode<wire::Failure>(answer);
    demand(name(code_from_name(failure->code)) == failure->code, "a refusal has a known code");
    demand(!failure->sentence.empty(), "a refusal says why");
    demand(!vault_.last(), "what is refused was not signed");
  }

  void check_mac(const wire::FrameView& frame, const wire::FrameView& answer) {
    const auto request = wire::decode<wire::MacRequest>(frame);
    const auto mac = wire::decode<wire::MacAnswer>(answer);
    demand(vault_.last() && mac->mac == *vault_.last(), "the MAC is the vault's");
    // Nobody here is an officer, so what needs them is refused whatever comes along; a statement
    // where none is demanded is not looked at.
    const auto payload = payload_of(request->message, kPayloadLimit);
    demand(payload.has_value(), "what is signed is a payload");
    const auto wanted = judge(ceilings_.of(request->label), *payload);
    demand(wanted && !wanted->has_value(), "of statements nobody has signed none is taken");
    demand(mac->worker_id == kWorkerId && mac->counter == vault_.count() &&
               mac->digest == vault_.digest(),
           "every MAC is counted and hashed");
  }

  const Role role_;
  const Ceilings& ceilings_;
  Approvals nobody_;
  LastWords nothing_kept_{"/nonexistent"};
  WatchedVault vault_;
  WatchedServiceKeys keys_;
  Dispatcher to_;
};

bool deliver(Connection& to, const wire::FrameView& frame, bool plainly) {
  if (!plainly || (frame.type() != Type::mac && frame.type() != Type::import))
    return to.send(frame);
  const auto ready = made_ready(frame);
  if (!ready) return to.send(frame);
  const auto view = wire::FrameView::parse(ByteView{*ready}.subspan(wire::kLengthSize));
  demand(view.has_value(), "set-up: encode");
  return to.send(*view);
}

void check(Byte choice, ByteView stream) {
  static const auto ceilings = Ceilings::parse(kCeilings, "ceilings.toml", Mode::production);
  demand(ceilings.has_value(), "set-up: ceilings");
  static Rates rates = open_rates();
  static FakeClock clock;
  clock.advance(std::chrono::seconds{2});  // Every allowance is whole again.
  Connection connection{(choice & 1) == 0 ? Role::signing : Role::admin, *ceilings, rates, clock};
  wire::FrameBuffer buffer;
  while (!stream.empty()) {
    const auto room = buffer.prepare();
    const std::size_t size = std::min(room.size(), stream.size());
    std::copy_n(stream.begin(), size, room.begin());
    buffer.commit(size);
    stream = stream.subspan(size);
    for (;;) {
      const auto next = buffer.next();
      if (!next) return;
      if (!*next) break;
      if (!deliver(connection, **next, (choice & 2) != 0)) return;
    }
  }
}

}  // namespace
}  // namespace hsm::token

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hsm::set_log_level(hsm::Level::error);
  if (size != 0) hsm::token::check(data[0], hsm::ByteView{data + 1, size - 1});
  return 0;
}
