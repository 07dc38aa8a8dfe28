// Framing of every socket of this project (docs/protocol.md, "Frames"). No I/O: the fuzzer and the
// tests feed the same code as the daemons.
//
//   u32 length of what follows · u8 type · u8 flags · u16 field count · u64 id · fields
//   field: u16 tag · u32 length · bytes; tags ascend without repeats; integers are little-endian
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/base/result.h"

namespace hsm::wire {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kFrameLimit = 65'536;  // The largest value of `length`.
inline constexpr std::size_t kLengthSize = 4;
inline constexpr std::size_t kHeaderSize = 12;  // type to id.
inline constexpr std::size_t kFieldHeaderSize = 6;
inline constexpr std::uint16_t kSkippableTag = 0x8000;  // Unknown tags from here on are skipped.

enum class Type : std::uint8_t {
  hello = 0x01,
  ping = 0x02,
  sign_request = 0x03,
  sign_verbatim = 0x04,
  list_keys = 0x05,
  whoami = 0x06,
  explain = 0x07,
  sign_relayed = 0x08,
  sign_ws_login = 0x09,
  authorize = 0x0a,
  gate_enter = 0x0b,
  gate_leave = 0x0c,
  push_skew = 0x0d,
  push_reference = 0x0e,
  // admin.sock
  register_key = 0x20,
  activate_key = 0x21,
  forget_key = 0x22,
  list_versions = 0x23,
  status = 0x24,
  drain = 0x25,
  check_keys = 0x26,
  destroyed_key = 0x27,
  set_switch = 0x28,
  thaw = 0x29,
  lease = 0x2a,
  list_switches = 0x2b,
  panic = 0x2c,
  reload_policy = 0x2d,
  raise_alarm = 0x2e,
  let_go = 0x2f,
  list_approvals = 0x30,
  submit_approval = 0x31,
  reject_approval = 0x32,
  // <token>.sock
  info = 0x40,
  mac = 0x41,
  list = 0x42,
  key_check = 0x43,
  forget = 0x44,
  sign_checkpoint = 0x45,
  usage = 0x46,
  // <token>.admin.sock
  import = 0x50,
  destroy = 0x51,
  generate = 0x52,
  wrap_key = 0x53,
  // Answers: the request's type with bit 7 set, or this.
  error = 0xff,
};
constexpr Type answer_to(Type type) {
  return static_cast<Type>(static_cast<std::uint8_t>(type) | 0x80);
}

struct Field {
  std::uint16_t tag;
  ByteView bytes;
};

// A complete, well-formed frame. A view into the buffer it was read from.
class FrameView {
 public:
  // `body` is what `length` counts. Checks everything that needs no knowledge of the type.
  static Result<FrameView> parse(ByteView body);

  Type type() const { return type_; }
  std::uint8_t flags() const { return flags_; }
  std::uint64_t id() const { return id_; }
  ByteView fields() const { return fields_; }

 private:
  Type type_{};
  std::uint8_t flags_ = 0;
  std::uint64_t id_ = 0;
  ByteView fields_;
};

// Walks well-formed fields; each call of next() gives one, then nothing.
class FieldCursor {
 public:
  explicit FieldCursor(ByteView fields) : rest_{fields} {}
  std::optional<Field> peek() const;
  void advance();

 private:
  ByteView rest_;
};

// Whether `bytes` is a sequence of `count` fields with ascending tags and nothing behind it.
Result<void> check_fields(ByteView bytes, std::size_t count);

// Turns a byte stream into frames. Holds at most one incomplete frame and what was read past it;
// starts small and grows with the frames it sees, so that a thousand idle connections cost little.
class FrameBuffer {
 public:
  // Room for the next read, at least one byte. Views of earlier frames die here.
  std::span<Byte> prepare();
  void commit(std::size_t count) { end_ += count; }
  // The next complete frame, or nothing yet. After an error the stream is beyond repair: close it.
  Result<std::optional<FrameView>> next();
  // Whether a frame has begun and not ended.
  bool partial() const { return begin_ != end_; }

 private:
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Appends one frame to `out`: construct, put fields in ascending order, finish.
class FrameWriter {
 public:
  FrameWriter(Bytes& out, Type type, std::uint64_t id);
  void put(std::uint16_t tag, ByteView bytes);
  // Opens a field of `size` bytes and returns where they go, so that base64 is written once. The
  // span dies with the next call.
  std::span<Byte> put_space(std::uint16_t tag, std::size_t size);
  // Writes length and count; too_large (and `out` as it was) where the frame exceeds kFrameLimit.
  Result<void> finish();
  std::uint16_t count() const { return count_; }

 private:
  Bytes& out_;
  std::size_t start_;
  std::uint16_t count_ = 0;
};

}  // namespace hsm::wire
