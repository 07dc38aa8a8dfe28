// Framing by itself: bytes in, frames or one refusal out.
#include "hsm_signer/wire/frame.h"

#include <algorithm>
#include <ostream>
#include <vector>

#include "hsm_signer/wire/hello.h"
#include "hsm_signer/wire/little_endian.h"
#include "tests/support/error_is.h"

namespace hsm::wire {
namespace {

using ::testing::HasSubstr;

struct RawField {
  std::uint16_t tag;
  Bytes bytes;
};

// Built by hand and not by FrameWriter, so that it can lie about the count.
Bytes frame(const std::vector<RawField>& fields, int count_error = 0) {
  Bytes body(kHeaderSize);
  body[0] = static_cast<Byte>(Type::ping);
  store(std::span{body}.subspan(2),
        static_cast<std::uint16_t>(static_cast<int>(fields.size()) + count_error));
  store(std::span{body}.subspan(4), std::uint64_t{0x1122334455667788});
  for (const RawField& field : fields) {
    std::array<Byte, 6> head{};
    store(std::span<Byte>{head}, field.tag);
    store(std::span<Byte>{head}.subspan(2), static_cast<std::uint32_t>(field.bytes.size()));
    body.insert(body.end(), head.begin(), head.end());
    body.insert(body.end(), field.bytes.begin(), field.bytes.end());
  }
  Bytes out(kLengthSize + body.size());
  store(std::span{out}, static_cast<std::uint32_t>(body.size()));
  std::copy(body.begin(), body.end(), out.begin() + kLengthSize);
  return out;
}

Bytes with_length(Bytes bytes, std::uint32_t length) {
  store(std::span{bytes}, length);
  return bytes;
}

Bytes with_byte(Bytes bytes, std::size_t at, Byte value) {
  bytes.at(at) = value;
  return bytes;
}

void feed(FrameBuffer& buffer, ByteView bytes) {
  while (!bytes.empty()) {
    const auto room = buffer.prepare();
    const std::size_t size = std::min(room.size(), bytes.size());
    ASSERT_GT(size, 0u);
    std::copy_n(bytes.begin(), size, room.begin());
    buffer.commit(size);
    bytes = bytes.subspan(size);
  }
}

struct Bad {
  const char* what;
  Bytes bytes;
  const char* sentence;

  friend void PrintTo(const Bad& row, std::ostream* out) { *out << row.what; }
};

class RefusedFrame : public ::testing::TestWithParam<Bad> {};

TEST_P(RefusedFrame, IsAProtocolErrorAndNothingElse) {
  FrameBuffer buffer;
  feed(buffer, GetParam().bytes);
  EXPECT_THAT(buffer.next(), ErrorIs(Code::protocol_error, HasSubstr(GetParam().sentence)))
      << GetParam().what;
}

// FrameView::parse sees the same body without the stream around it.
TEST_P(RefusedFrame, IsRefusedByTheViewAlone) {
  const ByteView bytes{GetParam().bytes};
  const std::size_t length = load<std::uint32_t>(bytes);
  if (length > kFrameLimit || length > bytes.size() - kLengthSize)
    return;  // A matter of the stream.
  EXPECT_THAT(FrameView::parse(bytes.subspan(kLengthSize, length)), ErrorIs(Code::protocol_error))
      << GetParam().what;
}

const Bytes kOne{1};

INSTANTIATE_TEST_SUITE_P(
    Frames, RefusedFrame,
    ::testing::Values(
        Bad{"length 0", Bytes(4), "shorter than its header"},
        Bad{"length 0 before a good frame", with_length(frame({}), 0), "shorter than its header"},
        Bad{"one byte short of a header", with_length(frame({}), 11), "shorter than its header"},
        Bad{"one byte over the limit", with_length(frame({}), 65'537), "frame too long"},
        Bad{"the largest length", with_length(frame({}), 0xffffffff), "frame too long"},
        Bad{"high bit of the length", with_length(frame({}), 0x80000000), "frame too long"},
        Bad{"count of one without a field", frame({}, 1), "ends inside a field"},
        Bad{"count one too big", frame({{1, kOne}}, 1), "ends inside a field"},
        Bad{"count 65535", frame({{1, kOne}}, 65'534), "ends inside a field"},
        Bad{"count one too small", frame({{1, kOne}, {2, kOne}}, -1), "behind the last field"},
        Bad{"count zero with a field", frame({{1, kOne}}, -1), "behind the last field"},
        Bad{"tag repeated", frame({{1, kOne}, {1, kOne}}), "tags must ascend"},
        Bad{"tag descending", frame({{2, kOne}, {1, kOne}}), "tags must ascend"},
        Bad{"skippable tag repeated", frame({{0x8001, kOne}, {0x8001, kOne}}), "tags must ascend"},
        Bad{"skippable tag before a known one", frame({{0x8001, kOne}, {1, kOne}}),
            "tags must ascend"},
        Bad{"tag zero repeated", frame({{0, kOne}, {0, kOne}}), "tags must ascend"},
        Bad{"field one byte past the end", with_byte(frame({{1, kOne}}), 18, 2),
            "longer than its frame"},
        Bad{"field of 4 GiB", with_byte(frame({{1, kOne}}), 21, 0xff), "longer than its frame"},
        Bad{"field header cut", with_length(frame({{1, {}}}), 17), "ends inside a field"},
        Bad{"field bytes cut", with_length(frame({{1, kOne}}), 18), "longer than its frame"},
        Bad{"flags", with_byte(frame({}), 5, 1), "flags are reserved"},
        Bad{"all flags", with_byte(frame({{1, kOne}}), 5, 0xff), "flags are reserved"}));

TEST(Frame, BytesBehindTheLastFieldAreRefused) {
  Bytes bytes = frame({{1, kOne}});
  bytes.push_back(0);
  EXPECT_THAT(FrameView::parse(ByteView{bytes}.subspan(kLengthSize)),
              ErrorIs(Code::protocol_error, HasSubstr("behind the last field")));
}

TEST(Frame, EveryTruncationOfTheBodyIsRefused) {
  const Bytes whole = frame({{1, {1, 2, 3}}, {2, {}}, {0x8000, {9}}});
  const ByteView body = ByteView{whole}.subspan(kLengthSize);
  ASSERT_THAT(FrameView::parse(body), Succeeds());
  for (std::size_t size = 0; size < body.size(); ++size)
    EXPECT_THAT(FrameView::parse(body.first(size)), ErrorIs(Code::protocol_error))
        << size << " bytes";
}

TEST(Frame, HeaderIsLittleEndian) {
  const Bytes bytes = frame({});
  const auto view = FrameView::parse(ByteView{bytes}.subspan(kLengthSize));
  ASSERT_THAT(view, Succeeds());
  EXPECT_EQ(view->type(), Type::ping);
  EXPECT_EQ(view->id(), 0x1122334455667788u);
  EXPECT_EQ(bytes[8], 0x88);
  EXPECT_EQ(bytes[15], 0x11);
}

TEST(Frame, UnknownTagBelowBit15IsRefusedByEveryMessage) {
  const Bytes bytes = frame({{7, kOne}});
  const auto view = FrameView::parse(ByteView{bytes}.subspan(kLengthSize));
  ASSERT_THAT(view, Succeeds());
  EXPECT_THAT(decode<Done>(*view),
              ErrorIs(Code::protocol_error, HasSubstr("unknown field: tag 7")));
}

TEST(Frame, UnknownTagWithBit15IsSkipped) {
  for (const auto tag : {kSkippableTag, std::uint16_t{0x8001}, std::uint16_t{0xffff}}) {
    const Bytes bytes = frame({{tag, kOne}});
    const auto view = FrameView::parse(ByteView{bytes}.subspan(kLengthSize));
    ASSERT_THAT(view, Succeeds());
    EXPECT_THAT(decode<Done>(*view), Succeeds()) << tag;
  }
}

TEST(Frame, HighestTagBelowBit15IsNotSkipped) {
  const Bytes bytes = frame({{0x7fff, kOne}, {0x8000, kOne}});
  const auto view = FrameView::parse(ByteView{bytes}.subspan(kLengthSize));
  ASSERT_THAT(view, Succeeds());
  EXPECT_THAT(decode<Done>(*view), ErrorIs(Code::protocol_error));
}

// What came out of a stream: the whole of each frame, since views die with the next read.
std::vector<std::pair<std::uint64_t, Bytes>> frames_in(ByteView stream, std::size_t chunk) {
  FrameBuffer buffer;
  std::vector<std::pair<std::uint64_t, Bytes>> seen;
  while (!stream.empty()) {
    const auto room = buffer.prepare();
    const std::size_t size = std::min({chunk, room.size(), stream.size()});
    if (size == 0) ADD_FAILURE() << "no room after every frame was taken";
    if (size == 0) return seen;
    std::copy_n(stream.begin(), size, room.begin());
    buffer.commit(size);
    stream = stream.subspan(size);
    for (;;) {
      const auto next = buffer.next();
      EXPECT_THAT(next, Succeeds());
      if (!next || !*next) break;
      seen.emplace_back((*next)->id(), Bytes{(*next)->fields().begin(), (*next)->fields().end()});
    }
  }
  EXPECT_FALSE(buffer.partial());
  return seen;
}

TEST(FrameBuffer, GivesTheSameFramesWhateverTheChunks) {
  Bytes stream;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    FrameWriter writer{stream, Type::ping, id};
    writer.put(1, Bytes(static_cast<std::size_t>(id * id * 13 % 5000), static_cast<Byte>(id)));
    ASSERT_THAT(writer.finish(), Succeeds());
  }
  const auto whole = frames_in(stream, stream.size());
  ASSERT_EQ(whole.size(), 40u);
  for (const std::size_t chunk :
       {1u, 2u, 3u, 7u, 15u, 16u, 17u, 100u, 4095u, 4096u, 4097u, 65'540u})
    EXPECT_EQ(frames_in(stream, chunk), whole) << "chunks of " << chunk;
}

TEST(FrameBuffer, TakesAFrameOfTheLargestSizeByteByByte) {
  Bytes stream;
  FrameWriter writer{stream, Type::ping, 5};
  writer.put(1, Bytes(kFrameLimit - kHeaderSize - kFieldHeaderSize, 0xab));
  ASSERT_THAT(writer.finish(), Succeeds());
  ASSERT_EQ(stream.size(), kLengthSize + kFrameLimit);
  EXPECT_EQ(frames_in(stream, 1).size(), 1u);
}

TEST(FrameBuffer, HoldsAHalfFrameWithoutGivingIt) {
  const Bytes whole = frame({{1, {1, 2, 3}}});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    FrameBuffer buffer;
    feed(buffer, ByteView{whole}.first(size));
    const auto next = buffer.next();
    ASSERT_THAT(next, Succeeds());
    EXPECT_FALSE(next->has_value()) << size;
    EXPECT_TRUE(buffer.partial()) << size;
  }
}

TEST(FrameBuffer, IsNotPartialBetweenFrames) {
  FrameBuffer buffer;
  EXPECT_FALSE(buffer.partial());
  feed(buffer, frame({}));
  ASSERT_TRUE(buffer.next()->has_value());
  EXPECT_FALSE(buffer.partial());
}

TEST(FrameBuffer, RefusesABadFrameAfterGoodOnes) {
  Bytes stream = frame({});
  const Bytes bad = with_byte(frame({}), 5, 4);
  stream.insert(stream.end(), bad.begin(), bad.end());
  FrameBuffer buffer;
  feed(buffer, stream);
  ASSERT_THAT(buffer.next(), Succeeds());
  EXPECT_THAT(buffer.next(), ErrorIs(Code::protocol_error));
}

TEST(FrameBuffer, JudgesALengthBeforeTheRestHasCome) {
  FrameBuffer buffer;
  feed(buffer, Bytes{0x01, 0x00, 0x01, 0x00});  // 65,537
  EXPECT_THAT(buffer.next(),
              ErrorIs(Code::protocol_error, HasSubstr("65537 bytes, the limit is 65536")));
}

TEST(FrameBuffer, JudgesALengthBelowTheHeaderBeforeTheRestHasCome) {
  FrameBuffer buffer;
  feed(buffer, Bytes{0x0b, 0x00, 0x00, 0x00});
  EXPECT_THAT(buffer.next(), ErrorIs(Code::protocol_error, HasSubstr("shorter than its header")));
}

TEST(FrameWriter, RefusesWhatDoesNotFitAndLeavesTheOutputAsItWas) {
  Bytes out = frame({});
  const Bytes before = out;
  FrameWriter writer{out, Type::ping, 1};
  writer.put(1, Bytes(kFrameLimit - kHeaderSize - kFieldHeaderSize + 1));
  EXPECT_THAT(writer.finish(), ErrorIs(Code::too_large, HasSubstr("65537 bytes")));
  EXPECT_EQ(out, before);
}

TEST(FrameWriter, WritesWhatTheReaderReads) {
  Bytes out;
  FrameWriter writer{out, Type::ping, 0x1122334455667788};
  writer.put(1, Bytes{1, 2});
  const auto space = writer.put_space(0x8002, 3);
  std::fill_n(space.begin(), 3, Byte{7});
  ASSERT_THAT(writer.finish(), Succeeds());
  EXPECT_EQ(out, frame({{1, {1, 2}}, {0x8002, {7, 7, 7}}}));
}

}  // namespace
}  // namespace hsm::wire
