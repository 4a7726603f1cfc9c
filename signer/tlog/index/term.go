// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// termKinds is what errors tell about terms.
const termKinds = "sha256: (or sha1:, sha384:, sha512:), image:, identity: (or email:, subject:), issuer:, repository:, commit:, workflow:, publickey:"

// ParseTerm returns the key of what people type into a search: "kind:value",
// for example "image:registry.example/acme/app", "email:a@b.example" or
// "hash:sha256:…". Digests ("sha256:…", or hexadecimal digits alone) and e-mail
// addresses need no kind. A key is a term for itself.
func ParseTerm(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errors.New("search term is empty (hint: " + termKinds + ")")
	}
	key, err := parseTerm(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("search term %q: %w", clip(s), err)
	case len(key) > tlog.MaxKey:
		return "", fmt.Errorf("search term %q: longer than %d bytes", clip(s), tlog.MaxKey)
	}
	// What changes when it is read again is not one name of the kind, but a heap
	// of schemes, tags and slashes.
	if again, err := parseTerm(key); err != nil || again != key {
		kind, _, _ := strings.Cut(key, ":")
		return "", fmt.Errorf("search term %q: this is no name of kind %q", clip(s), kind)
	}
	return key, nil
}

func parseTerm(s string) (string, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok {
		return parseBare(s)
	}
	kind = lower(kind)
	if strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("nothing behind %q", kind+":")
	}
	switch kind {
	case "hash", "digest":
		return ParseHash(value)
	case "sha1", "sha256", "sha384", "sha512":
		return Hash(kind, value)
	case "publickey", "key":
		return parseKeyHash(value)
	case "identity", "email", "subject", "san":
		return Identity(value), nil
	case "issuer":
		return filled(Issuer(value))
	case "repository", "repo":
		return filled(Repository(value))
	case "commit":
		return parseCommit(value)
	case "workflow":
		return filled(Workflow(value))
	case "image":
		if strings.Trim(value, "/:@ ") == "" {
			return "", errors.New("no image name")
		}
		return Image(value), nil
	}
	return "", fmt.Errorf("%q is no kind of term (hint: %s)", kind, termKinds)
}

// parseBare is for terms without a kind.
func parseBare(s string) (string, error) {
	if name, domain, ok := strings.Cut(s, "@"); ok && name != "" && domain != "" && !strings.ContainsAny(s, "/ ") {
		return Identity(s), nil
	}
	if key, err := ParseHash(s); err == nil {
		return key, nil
	}
	return "", errors.New("say what it is (hint: " + termKinds + ")")
}

// parseKeyHash reads the SHA-256 of a public key.
func parseKeyHash(s string) (string, error) {
	key, err := Hash("sha256", strings.TrimPrefix(lower(s), "sha256:"))
	if err != nil {
		return "", fmt.Errorf("want the SHA-256 of the key's DER SubjectPublicKeyInfo: %w", err)
	}
	_, digest, _ := strings.Cut(strings.TrimPrefix(key, string(KindHash)+":"), ":")
	return join(KindPublicKey, digest), nil
}

// parseCommit reads an id of git, with SHA-1 or SHA-256. An abbreviation is
// found by nothing.
func parseCommit(s string) (string, error) {
	id := lower(s)
	if _, err := hex.DecodeString(id); err != nil || (len(id) != 40 && len(id) != 64) {
		return "", errors.New("want the whole commit id, 40 or 64 hexadecimal digits (hint: git rev-parse <ref>)")
	}
	return Commit(id), nil
}

// filled refuses keys whose value was nothing but what normalisation drops.
func filled(key string) (string, error) {
	if empty(key) {
		return "", errors.New("nothing is left of it without scheme and slashes")
	}
	return key, nil
}
