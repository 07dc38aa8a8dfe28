#include "hsm_signer/wire/frame.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "hsm_signer/wire/little_endian.h"

namespace hsm::wire {
namespace {

constexpr std::size_t kFirstBuffer = 4096;

}  // namespace

Result<FrameView> FrameView::parse(ByteView body) {
  if (body.size() < kHeaderSize) return fail(Code::protocol_error, "frame shorter than its header");
  FrameView frame;
  frame.type_ = static_cast<Type>(body[0]);
  frame.flags_ = body[1];
  if (frame.flags_ != 0) return fail(Code::protocol_error, "flags are reserved and must be zero");
  frame.id_ = load<std::uint64_t>(body.subspan(4, 8));
  frame.fields_ = body.subspan(kHeaderSize);
  TRY_VOID(check_fields(frame.fields_, load<std::uint16_t>(body.subspan(2, 2))));
  return frame;
}

Result<void> check_fields(ByteView bytes, std::size_t count) {
  int last_tag = -1;
  for (std::size_t i = 0; i < count; ++i) {
    if (bytes.size() < kFieldHeaderSize)
      return fail(Code::protocol_error, "frame ends inside a field");
    const auto tag = load<std::uint16_t>(bytes);
    const auto size = load<std::uint32_t>(bytes.subspan(2, 4));
    bytes = bytes.subspan(kFieldHeaderSize);
    if (tag <= last_tag) return fail(Code::protocol_error, "tags must ascend without repeats");
    if (size > bytes.size()) return fail(Code::protocol_error, "field longer than its frame");
    last_tag = tag;
    bytes = bytes.subspan(size);
  }
  if (!bytes.empty()) return fail(Code::protocol_error, "bytes behind the last field");
  return {};
}

std::optional<Field> FieldCursor::peek() const {
  if (rest_.empty()) return std::nullopt;
  return Field{.tag = load<std::uint16_t>(rest_),
               .bytes = rest_.subspan(kFieldHeaderSize, load<std::uint32_t>(rest_.subspan(2, 4)))};
}

void FieldCursor::advance() {
  if (const auto field = peek()) rest_ = rest_.subspan(kFieldHeaderSize + field->bytes.size());
}

std::span<Byte> FrameBuffer::prepare() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // One frame fits the largest size, so this always makes room.
  if (end_ == buffer_.size())
    buffer_.resize(std::clamp(2 * buffer_.size(), kFirstBuffer, kLengthSize + kFrameLimit));
  return std::span{buffer_}.subspan(end_);
}

Result<std::optional<FrameView>> FrameBuffer::next() {
  const ByteView ready = ByteView{buffer_}.subspan(begin_, end_ - begin_);
  if (ready.size() < kLengthSize) return std::optional<FrameView>{};
  const std::size_t length = load<std::uint32_t>(ready);
  if (length > kFrameLimit) {
    return fail(Code::protocol_error, "frame too long",
                std::to_string(length) + " bytes, the limit is " + std::to_string(kFrameLimit));
  }
  if (length < kHeaderSize) return fail(Code::protocol_error, "frame shorter than its header");
  if (ready.size() < kLengthSize + length) return std::optional<FrameView>{};
  begin_ += kLengthSize + length;
  TRY(FrameView frame, FrameView::parse(ready.subspan(kLengthSize, length)));
  return std::optional<FrameView>{frame};
}

FrameWriter::FrameWriter(Bytes& out, Type type, std::uint64_t id) : out_{out}, start_{out.size()} {
  out_.resize(start_ + kLengthSize + kHeaderSize);
  const auto header = std::span{out_}.subspan(start_ + kLengthSize);
  header[0] = static_cast<Byte>(type);
  store(header.subspan(4, 8), id);
}

std::span<Byte> FrameWriter::put_space(std::uint16_t tag, std::size_t size) {
  const std::size_t at = out_.size();
  out_.resize(at + kFieldHeaderSize + size);
  store(std::span{out_}.subspan(at, 2), tag);
  store(std::span{out_}.subspan(at + 2, 4), static_cast<std::uint32_t>(size));
  ++count_;
  return std::span{out_}.subspan(at + kFieldHeaderSize);
}

void FrameWriter::put(std::uint16_t tag, ByteView bytes) {
  const std::span<Byte> space = put_space(tag, bytes.size());
  std::copy(bytes.begin(), bytes.end(), space.begin());
}

Result<void> FrameWriter::finish() {
  const std::size_t length = out_.size() - start_ - kLengthSize;
  if (length > kFrameLimit) {
    out_.resize(start_);
    return fail(Code::too_large, "message does not fit a frame",
                std::to_string(length) + " bytes, the limit is " + std::to_string(kFrameLimit));
  }
  store(std::span{out_}.subspan(start_, 4), static_cast<std::uint32_t>(length));
  store(std::span{out_}.subspan(start_ + kLengthSize + 2, 2), count_);
  return {};
}

}  // namespace hsm::wire
