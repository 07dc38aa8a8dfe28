// hsm-signer as a trading program meets it: sign_request frames over the client socket of a real
// hsm-signerd with a real hsm-tokend behind it.
#include <unistd.h>

#include "hsm_signer/wire/client.h"
#include "tests/bench/children.h"
#include "tests/bench/pipeline.h"
#include "tests/bench/signer_directory.h"

namespace hsm::bench {
namespace {

// An order that has 300 bytes in base64 once the signer has put its nonce in.
std::string order() {
  constexpr std::string_view kHead = R"({"request":"/v1/order/new","client_order_id":")";
  constexpr std::string_view kTail =
      R"(","symbol":"btcusd","amount":"0.01","price":"1000.00","side":"buy","type":"exchange limit"})";
  constexpr std::string_view kNonce = R"("nonce":1700000000000000,)";
  constexpr std::size_t kSize = kMessageSize / 4 * 3;
  std::string text{kHead};
  text.append(kSize - kHead.size() - kNonce.size() - kTail.size(), 'o');
  return text.append(kTail);
}

// A greeted connection. The frames of all slots are encoded beforehand: what the client spends is
// not what is compared.
class SignerDialect final : public Dialect {
 public:
  static Result<SignerDialect> connect(const std::string& path, unsigned in_flight,
                                       const std::vector<std::string>& keys) {
    SignerDialect dialect;
    TRY(dialect.socket_, connect_unix(path));
    TRY_VOID(dialect.greet());
    const std::string payload = order();
    for (unsigned slot = 0; slot < in_flight; ++slot) {
      Bytes& frame = dialect.requests_.emplace_back();
      TRY_VOID(wire::encode(frame, slot,
                            wire::SignRequest{.key = keys[slot % keys.size()],
                                              .payload = payload,
                                              .deadline_ms = 0,
                                              .reference = {}}));
    }
    return dialect;
  }
  int socket() const { return socket_.get(); }

  void ask(unsigned slot, Bytes& out) override {
    out.insert(out.end(), requests_[slot].begin(), requests_[slot].end());
  }
  std::span<Byte> room() override { return in_.prepare(); }
  void commit(std::size_t size) override { in_.commit(size); }
  Result<std::optional<unsigned>> next(bool check) override {
    TRY(const std::optional<wire::FrameView> frame, in_.next());
    if (!frame) return std::optional<unsigned>{};
    if (frame->type() != wire::answer_to(wire::Type::sign_request)) return fail(refusal(*frame));
    if (check) TRY_VOID(verify(*frame));
    return std::optional<unsigned>{static_cast<unsigned>(frame->id())};
  }

 private:
  Result<void> greet() {
    Bytes hello;
    TRY_VOID(wire::encode(hello, 0, wire::Hello{.program = "hsm-bench"}));
    TRY_VOID(write_all(socket_.get(), hello, Code::protocol_error, "the client socket"));
    for (;;) {
      TRY(const std::optional<wire::FrameView> frame, in_.next());
      if (frame && frame->type() == wire::answer_to(wire::Type::hello)) return {};
      if (frame) return fail(refusal(*frame));
      const std::span<Byte> room = in_.prepare();
      const ssize_t size = ::read(socket_.get(), room.data(), room.size());
      if (size <= 0) return fail(Code::protocol_error, "hsm-signerd did not greet");
      in_.commit(static_cast<std::size_t>(size));
    }
  }

  static Error refusal(const wire::FrameView& frame) {
    const auto failure = wire::decode<wire::Failure>(frame);
    return failure ? wire::to_error(*failure) : failure.error();
  }

  // The exchange computes the MAC over the base64 text that the answer carries.
  static Result<void> verify(const wire::FrameView& frame) {
    TRY(const auto answer, wire::decode<wire::Signed>(frame));
    TRY(const Bytes mac, hex_decode(answer.signature));
    return check_mac(as_bytes(answer.payload_base64), mac);
  }

  OwnedFd socket_;
  wire::FrameBuffer in_;
  std::vector<Bytes> requests_;
};

class Signer final : public Contender {
 public:
  Signer(std::string durability, std::shared_ptr<SignerDirectories> directories)
      : durability_{std::move(durability)}, directories_{std::move(directories)} {}
  std::string name() const override { return "hsm-signer " + durability_; }
  std::vector<Load> loads() const override { return shape_loads(); }
  Result<void> set_up() override {
    for (const unsigned workers : {1U, 2U}) TRY_VOID(directories_->with_workers(workers));
    return {};
  }
  void tear_down() override { directories_->clear(); }
  Result<Samples> run(const Load& load, const Timing& timing) override {
    TRY(const SignerDirectory* const directory, directories_->with_workers(load.workers));
    return in_children(1, timing, [&]() -> Result<Measure> {
      TRY(SignerDialect connected, SignerDialect::connect(directory->socket(), load.in_flight,
                                                          SignerDirectory::keys_of(durability_)));
      const auto dialect = std::make_shared<SignerDialect>(std::move(connected));
      return Measure{[&load, &timing, dialect] {
        return pipeline(dialect->socket(), *dialect, load.in_flight, timing);
      }};
    });
  }

 private:
  std::string durability_;
  std::shared_ptr<SignerDirectories> directories_;
};

}  // namespace

std::unique_ptr<Contender> hsm_signer(std::string durability,
                                      std::shared_ptr<SignerDirectories> directories) {
  return std::make_unique<Signer>(std::move(durability), std::move(directories));
}

}  // namespace hsm::bench
