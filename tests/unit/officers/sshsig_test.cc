// The armored text and the blob in it: what ssh-keygen writes is taken, every other spelling not.
#include "hsm_signer/officers/sshsig.h"

#include "tests/support/error_is.h"
#include "tests/unit/officers/ssh_keygen.h"

namespace hsm::officers {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kText = "verb: activate\nkey: desk-a.trade\n";

Signature sample() {
  Signature signature;
  signature.public_key = {1, 2, 3};
  signature.name_space = kNamespace;
  signature.signature.assign(200, 7);
  return signature;
}

// SSH strings written here once more, apart from the code under test.
std::string number(std::uint32_t value) {
  std::string out;
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 0xff);
  return out;
}
std::string string(std::string_view text) {
  return number(static_cast<std::uint32_t>(text.size())).append(text);
}

struct Fields {
  std::string magic = "SSHSIG";
  std::string version = number(1);
  std::string key = string("key");
  std::string name_space = string(kNamespace);
  std::string reserved = string("");
  std::string hash = string("sha512");
  std::string signature = string("signature");
  std::string behind{};

  std::string blob() const {
    return magic + version + key + name_space + reserved + hash + signature + behind;
  }
};

Result<Signature> decode(const std::string& blob) { return Signature::decode(as_bytes(blob)); }

// ---- The blob ----

TEST(SshSignature, HasTheFieldsOfTheProtocol) {
  const auto signature = decode(Fields{}.blob());
  ASSERT_THAT(signature, Succeeds());
  EXPECT_EQ(as_text(signature->public_key), "key");
  EXPECT_EQ(signature->name_space, "hsm-signer-v1");
  EXPECT_EQ(signature->hash, TextHash::sha512);
  EXPECT_EQ(as_text(signature->signature), "signature");
  EXPECT_EQ(as_text(signature->encode()), Fields{}.blob());
}

TEST(SshSignature, KnowsBothHashes) {
  const auto signature = decode(Fields{.hash = string("sha256")}.blob());
  ASSERT_THAT(signature, Succeeds());
  EXPECT_EQ(signature->hash, TextHash::sha256);
  EXPECT_EQ(as_text(signature->encode()), Fields{.hash = string("sha256")}.blob());
}

TEST(SshSignature, RefusesEachFieldBrokenAndNamesIt) {
  const std::string nul{"hsm\0signer", 10};
  const std::tuple<const char*, Fields, const char*> rows[] = {
      {"other magic", {.magic = "SSHSIH"}, "SSHSIG"},
      {"magic in lower case", {.magic = "sshsig"}, "SSHSIG"},
      {"version 0", {.version = number(0)}, "version is 0"},
      {"version 2", {.version = number(2)}, "version is 2"},
      {"version 1 the other way round", {.version = std::string("\1\0\0\0", 4)}, "version"},
      {"no namespace", {.name_space = string("")}, "namespace is empty"},
      {"NUL in the namespace", {.name_space = string(nul)}, "namespace is not printable"},
      {"newline in the namespace", {.name_space = string("file\n")}, "namespace is not printable"},
      {"namespace beyond ASCII",
       {.name_space = string("f\xc3\xbcr")},
       "namespace is not printable"},
      {"long namespace", {.name_space = string(std::string(65, 'n'))}, "namespace is longer"},
      {"something reserved", {.reserved = string("x")}, "reserved field is not empty"},
      {"no hash", {.hash = string("")}, "hash algorithm"},
      {"sha1", {.hash = string("sha1")}, "hash algorithm is neither"},
      {"SHA512", {.hash = string("SHA512")}, "hash algorithm is neither"},
      {"sha512 and a NUL", {.hash = string({"sha512\0", 7})}, "hash algorithm is neither"},
      {"long hash", {.hash = string(std::string(17, 's'))}, "hash algorithm is longer"},
      {"a byte behind", {.behind = "x"}, "1 bytes stand behind its end"},
      {"a length beyond the end", {.signature = number(99) + "short"}, "signature is cut off"},
      {"the greatest length", {.signature = number(0xffffffff)}, "signature is longer"},
  };
  for (const auto& [what, fields, sentence] : rows)
    EXPECT_THAT(decode(fields.blob()), ErrorIs(Code::invalid_payload, HasSubstr(sentence))) << what;
}

TEST(SshSignature, RefusesEachTruncation) {
  const std::string whole = Fields{}.blob();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(decode(whole.substr(0, size)), ErrorIs(Code::invalid_payload)) << size << " bytes";
}

TEST(SshSignature, HasALimit) {
  Fields fields;
  const std::size_t rest = fields.blob().size() - std::string{"signature"}.size();
  fields.signature = string(std::string(kMostSignatureBytes - rest, 's'));
  const auto longest = decode(fields.blob());
  ASSERT_THAT(longest, Succeeds());
  EXPECT_THAT(Signature::from_text(longest->to_text()), Succeeds());
  fields.signature = string(std::string(kMostSignatureBytes - rest + 1, 's'));
  EXPECT_THAT(decode(fields.blob()), ErrorIs(Code::too_large, HasSubstr("4096")));
}

// ---- The text ----

TEST(SshSignatureText, OfSshKeygenComesBackToTheByte) {
  SshKeygen keygen;
  for (const char* type : {"ed25519", "ecdsa", "rsa"}) {
    const std::string key = keygen.key(type, type);
    for (const char* hash : {"sha256", "sha512"}) {
      const std::string text = keygen.sign(key, kText, std::string{kNamespace}, hash);
      const auto signature = Signature::from_text(text);
      ASSERT_THAT(signature, Succeeds()) << type;
      EXPECT_EQ(signature->to_text(), text) << type;
      EXPECT_EQ(signature->name_space, kNamespace) << type;
      EXPECT_EQ(name(signature->hash), hash) << type;
    }
  }
}

TEST(SshSignatureText, HasLinesOf70WhateverTheLength) {
  for (std::size_t size = 0; size < 220; ++size) {
    Signature signature = sample();
    signature.signature.assign(size, 9);
    const std::string text = signature.to_text();
    EXPECT_THAT(Signature::from_text(text), Succeeds()) << size;
    std::size_t begin = text.find('\n') + 1;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      EXPECT_LE(end - begin, 70u) << size;
  }
}

TEST(SshSignatureText, RefusesEveryOtherSpelling) {
  const std::string text = sample().to_text();
  const std::size_t body = text.find('\n') + 1;
  const std::size_t foot = text.find("-----END");
  const auto changed = [&](std::size_t at, std::size_t size, std::string_view by) {
    std::string copy = text;
    return copy.replace(at, size, by);
  };
  std::string carriage_returns = text;
  for (std::size_t at = 0; (at = carriage_returns.find('\n', at)) != std::string::npos; at += 2)
    carriage_returns.replace(at, 1, "\r\n");
  std::string one_line = text.substr(body, foot - body);
  std::erase(one_line, '\n');
  const std::tuple<const char*, std::string, const char*> rows[] = {
      {"nothing", "", "first line"},
      {"words before it", "signed:\n" + text, "first line"},
      {"a blank before it", " " + text, "first line"},
      {"a byte order mark", "\xef\xbb\xbf" + text, "first line"},
      {"words behind it", text + "signed\n", "last line"},
      {"an empty line behind it", text + "\n", "last line"},
      {"two signatures", text + text, "characters"},
      {"no newline at the end", text.substr(0, text.size() - 1), "last line"},
      {"no first line", text.substr(body), "first line"},
      {"no last line", text.substr(0, foot), "last line"},
      {"first line only", text.substr(0, body), "last line"},
      {"last line only", text.substr(foot), "first line"},
      {"nothing between", text.substr(0, body) + text.substr(foot), "SSHSIG"},
      {"another PEM", "-----BEGIN SSH KEY-----\nAAAA\n-----END SSH KEY-----\n", "first line"},
      {"carriage returns", carriage_returns, "carriage returns"},
      {"one long line", text.substr(0, body) + one_line + "\n" + text.substr(foot), "line 2 has"},
      {"a line broken early", changed(body + 30, 0, "\n"), "line 2 has 30"},
      {"an empty line", changed(body, 0, "\n"), "line 2 has 0"},
      {"an empty line at its end", changed(foot, 0, "\n"), "has"},
      {"no newline before the last line", changed(foot - 1, 1, ""), "no end"},
      {"a blank in a line", changed(body + 10, 1, " "), "base64"},
      {"a character of another alphabet", changed(body + 10, 1, "-"), "base64"},
      {"padding in the middle", changed(body + 10, 1, "="), "base64"},
      {"a NUL in a line", changed(body + 10, 1, std::string_view{"\0", 1}), "base64"},
  };
  for (const auto& [what, damaged, sentence] : rows)
    EXPECT_THAT(Signature::from_text(damaged), ErrorIs(Code::invalid_payload, HasSubstr(sentence)))
        << what;
}

TEST(SshSignatureText, RefusesBitsThatBase64LeavesOver) {
  Signature signature = sample();
  signature.signature.resize(signature.signature.size() + 1);
  while (!signature.to_text().ends_with("==\n-----END SSH SIGNATURE-----\n"))
    signature.signature.push_back(0);
  std::string text = signature.to_text();
  char& last = text[text.find("==") - 1];
  ASSERT_EQ(last, 'A');
  last = 'B';
  EXPECT_THAT(Signature::from_text(text), ErrorIs(Code::invalid_payload, HasSubstr("canonical")));
}

TEST(SshSignatureText, RefusesMoreThanASignatureNeedsBeforeItLooksAtIt) {
  EXPECT_THAT(Signature::from_text(std::string(10'000'000, 'A')), ErrorIs(Code::too_large));
}

TEST(SshSignatureText, RefusesTheExampleOfTheProtocolWhichIsOlderThanItsHashField) {
  const auto refused = Signature::from_text(
      "-----BEGIN SSH SIGNATURE-----\n"
      "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgJKxoLBJBivUPNTUJUSslQTt2hD\n"
      "jozKvHarKeN8uYFqgAAAADZm9vAAAAAAAAAFMAAAALc3NoLWVkMjU1MTkAAABAKNC4IEbt\n"
      "Tq0Fb56xhtuE1/lK9H9RZJfON4o6hE9R4ZGFX98gy0+fFJ/1d2/RxnZky0Y7GojwrZkrHT\n"
      "FgCqVWAQ==\n"
      "-----END SSH SIGNATURE-----\n");
  EXPECT_THAT(refused, ErrorIs(Code::invalid_payload));
}

}  // namespace
}  // namespace hsm::officers
