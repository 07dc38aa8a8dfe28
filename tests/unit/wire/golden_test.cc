// tests/vectors/wire.json: frames that every implementation of the protocol reproduces byte for
// byte. Their bytes come from tests/vectors/check_wire.py and not from the encoder tested here.
#include <boost/json.hpp>
#include <charconv>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "hsm_signer/wire/blob.h"
#include "tests/support/error_is.h"
#include "tests/unit/wire/any_message.h"

namespace hsm::wire {
namespace {

namespace json = boost::json;

json::value read_json(const char* path) {
  std::ifstream in{path};
  std::ostringstream text;
  text << in.rdbuf();
  return json::parse(text.str());
}

const json::object& vectors() {
  static const json::value file = read_json("tests/vectors/wire.json");
  return file.as_object();
}

std::string string_at(const json::object& object, std::string_view member) {
  return std::string{object.at(member).as_string()};
}

std::uint64_t number(const json::value& value) {
  const auto& text = value.as_string();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  EXPECT_TRUE(error == std::errc{} && end == text.data() + text.size()) << text;
  return number;
}

// Fills a message from the JSON of its fields, so that nothing here knows the wire form.
class FromJson {
 public:
  explicit FromJson(const json::array& fields) : fields_{fields} {}
  template <class T>
  void required(std::uint16_t tag, T& value) {
    const json::object* field = find(tag);
    ASSERT_NE(field, nullptr) << "no field with tag " << tag;
    take(*field, value);
  }
  template <class T>
  void optional(std::uint16_t tag, T& value) {
    if (const json::object* field = find(tag)) take(*field, value);
  }
  void expect_all_taken() const {
    EXPECT_EQ(taken_, fields_.size()) << "fields that the message does not have";
  }
  template <class Message>
  static Message message(const json::array& fields) {
    Message message;
    FromJson visit{fields};
    Message::fields(message, visit);
    visit.expect_all_taken();
    return message;
  }

 private:
  const json::object* find(std::uint16_t tag) const {
    for (const json::value& field : fields_) {
      if (field.at("tag").as_int64() == tag) return &field.as_object();
    }
    return nullptr;
  }

  template <class T>
  void take(const json::object& field, T& out) {
    ++taken_;
    const json::value& value = field.at("value");
    EXPECT_EQ(string_at(field, "kind"), spelling<T>());
    if constexpr (kind_of<T>() == Kind::text) {
      out = value.as_string();
    } else if constexpr (kind_of<T>() == Kind::bytes) {
      out = *hex_decode(value.as_string());
    } else if constexpr (kind_of<T>() == Kind::fixed) {
      const Bytes bytes = *hex_decode(value.as_string());
      ASSERT_EQ(bytes.size(), out.size());
      std::copy(bytes.begin(), bytes.end(), out.begin());
    } else if constexpr (kind_of<T>() == Kind::boolean) {
      out = value.as_bool();
    } else if constexpr (kind_of<T>() == Kind::integer) {
      out = static_cast<T>(number(value));
    } else {
      for (const json::value& record : value.as_array())
        out.push_back(message<typename T::value_type>(record.as_array()));
    }
  }

  template <class T>
  static std::string spelling() {
    switch (kind_of<T>()) {
      case Kind::text:
        return "text";
      case Kind::bytes:
      case Kind::fixed:
        return "bytes";
      case Kind::boolean:
        return "bool";
      case Kind::integer:
        return "u" + std::to_string(8 * sizeof(T));
      case Kind::list:
        return "list";
    }
    return "";
  }

  const json::array& fields_;
  std::size_t taken_ = 0;
};

struct Made {
  Bytes frame;
  std::string dump;
};

template <class Message>
Made make(Type type, std::uint64_t id, const json::array& fields) {
  const auto message = FromJson::message<Message>(fields);
  Made made{.frame = {}, .dump = Dump::of(message)};
  EXPECT_THAT(encode(made.frame, type, id, message), Succeeds());
  return made;
}

using Maker = Made (*)(Type type, std::uint64_t id, const json::array& fields);
std::map<Type, Maker> makers() {
  std::map<Type, Maker> all;
  for_each_message(
      [&]<class Message>(Type type, const std::string&) { all[type] = &make<Message>; });
  return all;
}

const AnyMessage* message_of(std::int64_t type) {
  for (const AnyMessage& message : every_message()) {
    if (static_cast<std::int64_t>(message.type) == type) return &message;
  }
  return nullptr;
}

void expect_golden(const json::object& vector, const std::map<Type, Maker>& makers) {
  const AnyMessage* message = message_of(vector.at("type").as_int64());
  ASSERT_NE(message, nullptr) << "a type that no message has";
  const std::uint64_t id = number(vector.at("id"));
  const Made made = makers.at(message->type)(message->type, id, vector.at("fields").as_array());
  const std::string hex = string_at(vector, "hex");
  EXPECT_EQ(hex_encode(made.frame), hex);

  const auto golden = hex_decode(hex);
  ASSERT_THAT(golden, Succeeds());
  const auto view = FrameView::parse(ByteView{*golden}.subspan(kLengthSize));
  ASSERT_THAT(view, Succeeds());
  EXPECT_EQ(view->id(), id);
  const auto dump = message->read(*view);
  ASSERT_THAT(dump, Succeeds());
  EXPECT_EQ(*dump, made.dump);
}

TEST(GoldenFrames, AreEncodedAndDecodedExactly) {
  const auto all = makers();
  for (const json::value& vector : vectors().at("frames").as_array()) {
    SCOPED_TRACE(string_at(vector.as_object(), "name"));
    expect_golden(vector.as_object(), all);
  }
}

// Each message once with every field that it has.
TEST(GoldenFrames, CoverEveryFieldOfEveryMessage) {
  std::map<std::int64_t, std::set<std::int64_t>> shown;
  for (const json::value& vector : vectors().at("frames").as_array()) {
    auto& tags = shown[vector.at("type").as_int64()];
    for (const json::value& field : vector.at("fields").as_array())
      tags.insert(field.at("tag").as_int64());
  }
  for (const AnyMessage& message : every_message()) {
    const auto tags = shown.find(static_cast<std::int64_t>(message.type));
    ASSERT_NE(tags, shown.end()) << message.name << " has no golden frame";
    for (const FieldRule& rule : message.rules)
      EXPECT_TRUE(tags->second.contains(rule.tag))
          << message.name << ": no golden frame shows tag " << rule.tag;
  }
}

TEST(GoldenFrames, ThatMustBeRefusedAreRefused) {
  const auto& rows = vectors().at("refused").as_array();
  EXPECT_GE(rows.size(), 15u);
  for (const json::value& row : rows) {
    SCOPED_TRACE(row.at("name").as_string());
    const Bytes bytes = *hex_decode(row.at("hex").as_string());
    FrameBuffer buffer;
    const auto room = buffer.prepare();
    ASSERT_LE(bytes.size(), room.size());
    std::copy(bytes.begin(), bytes.end(), room.begin());
    buffer.commit(bytes.size());
    const auto frame = buffer.next();
    if (!frame) continue;
    ASSERT_TRUE(frame->has_value()) << "waits for more";
    const AnyMessage* message = message_of(static_cast<std::int64_t>((*frame)->type()));
    ASSERT_NE(message, nullptr);
    EXPECT_THAT(message->read(**frame), ErrorIs(Code::protocol_error));
  }
}

TEST(GoldenFrames, ThatCarryWhatALaterReleaseAddsAreRead) {
  for (const json::value& row : vectors().at("accepted").as_array()) {
    const Bytes bytes = *hex_decode(row.at("hex").as_string());
    const auto view = FrameView::parse(ByteView{bytes}.subspan(kLengthSize));
    ASSERT_THAT(view, Succeeds()) << row.at("name").as_string();
    EXPECT_THAT(decode<Hello>(*view), Succeeds()) << row.at("name").as_string();
  }
}

// Made with the openssl command and Python (tests/vectors/blob.json).
TEST(GoldenBlob, IsReadInBothFormsAndMadeOfTheDocumentedParts) {
  const json::value file = read_json("tests/vectors/blob.json");
  const json::object& golden = file.as_object();
  const Bytes blob = *hex_decode(string_at(golden, "blob"));
  const auto key = WrappedKey::decode(blob);
  ASSERT_THAT(key, Succeeds());
  EXPECT_EQ(hex_encode(key->ciphertext), string_at(golden, "ciphertext"));
  EXPECT_EQ(hex_encode(key->key_check), string_at(golden, "key_check"));
  EXPECT_EQ(fingerprint_text(key->wrap_key), string_at(golden, "fingerprint"));
  EXPECT_EQ(fingerprint_text(*fingerprint(string_at(golden, "public_key_pem"))),
            string_at(golden, "fingerprint"));
  EXPECT_EQ(key->encode(), blob);
  EXPECT_EQ(key->to_text(), string_at(golden, "text"));
  const auto from_text = WrappedKey::from_text(string_at(golden, "text"));
  ASSERT_THAT(from_text, Succeeds());
  EXPECT_EQ(from_text->encode(), blob);
  const auto canonical =
      canonical_secret(SecretBytes::copy_of(as_bytes(string_at(golden, "secret"))));
  ASSERT_THAT(canonical, Succeeds());
  EXPECT_TRUE(hex_encode(canonical->view()) == string_at(golden, "canonical"));
}

}  // namespace
}  // namespace hsm::wire
