// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // git's object ids, not a protection
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/big"
	"strconv"
	"strings"
)

// ParseClaims reads NAME=VALUE arguments. A later one of the same name wins.
//
// The value is text; Mint gives it the type that the provider gives the claim:
// digits for a number, comma-separated names for a list, and "null" where the
// provider may write null. Claims that the provider does not know are strings.
func ParseClaims(args []string) (map[string]string, error) {
	overrides := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("claim %q is not NAME=VALUE", arg)
		}
		overrides[name] = value
	}
	return overrides, nil
}

// claimSet builds claims in the order in which they follow from each other:
// each is set once, to its override if there is one, and returned for those
// that depend on it.
type claimSet struct {
	claims    map[string]any
	overrides map[string]string
	nested    map[string]bool // overrides that are no claims of their own
	err       error
}

func newClaimSet(overrides map[string]string) *claimSet {
	return &claimSet{claims: map[string]any{}, overrides: overrides, nested: map[string]bool{}}
}

// part returns the text of a claim's part: its override, which is then no claim
// of its own, or the value.
func (c *claimSet) part(name, value string) string {
	c.nested[name] = true
	if override, ok := c.overrides[name]; ok {
		return override
	}
	return value
}

// boolean sets a claim that is true or false.
func (c *claimSet) boolean(name string, value bool) {
	c.claims[name] = value
	override, ok := c.overrides[name]
	if !ok {
		return
	}
	b, err := strconv.ParseBool(override)
	if err != nil {
		c.err = fmt.Errorf("claim %s is true or false, not %q", name, override)
		return
	}
	c.claims[name] = b
}

// text sets a string claim.
func (c *claimSet) text(name, value string) string {
	if override, ok := c.overrides[name]; ok {
		value = override
	}
	c.claims[name] = value
	return value
}

// nullable sets a string claim that the provider writes as null when it does
// not know it.
func (c *claimSet) nullable(name, value string) {
	if c.text(name, value) == "null" {
		c.claims[name] = nil
	}
}

// number sets a numeric claim; "null" is accepted.
func (c *claimSet) number(name string, value int64) {
	c.claims[name] = value
	override, ok := c.overrides[name]
	if !ok {
		return
	}
	if override == "null" {
		c.claims[name] = nil
		return
	}
	if _, err := strconv.ParseFloat(override, 64); err != nil || !json.Valid([]byte(override)) {
		c.err = fmt.Errorf("claim %s is a number, not %q", name, override)
		return
	}
	c.claims[name] = json.Number(override) // exactly as written
}

// list sets a claim that is a list of strings.
func (c *claimSet) list(name string, values ...string) {
	if override, ok := c.overrides[name]; ok {
		values = strings.Split(override, ",")
	}
	c.claims[name] = values
}

// rest sets the overrides that name no default claim, as strings.
func (c *claimSet) rest() (map[string]any, error) {
	for name, value := range c.overrides {
		if _, set := c.claims[name]; !set && !c.nested[name] {
			c.claims[name] = value
		}
	}
	return c.claims, c.err
}

// Ids of the default owner and repository, for policies that go by id.
const (
	// acmeID is the id of the owner or group acme.
	acmeID = "1001"
	// appID is the id of the repository or project acme/app.
	appID = "2001"
)

// idOf gives a name an id, the same every time. Another name has another id,
// which is what the ids are for.
func idOf(name string) string {
	switch name {
	case "acme":
		return acmeID
	case "acme/app":
		return appID
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return strconv.FormatUint(1_000_000+uint64(h.Sum32()), 10)
}

// uuidOf is idOf for systems whose ids are UUIDs.
func uuidOf(name string) string {
	id := idOf(name)
	return "00000000-0000-4000-8000-" + strings.Repeat("0", 12-len(id)) + id
}

// randomUUID is randomID for them.
func randomUUID() string {
	return "00000000-0000-4000-9000-00" + randomID()
}

// commitOf gives a repository's ref a commit id, the same every time.
func commitOf(repository, ref string) string {
	sum := sha1.Sum([]byte(repository + "@" + ref)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// randomID returns ten digits: each token is a new run unless told otherwise.
func randomID() string {
	const lowest, count = 1_000_000_000, 9_000_000_000
	n, err := rand.Int(rand.Reader, big.NewInt(count))
	if err != nil {
		panic(err) // crypto/rand does not fail (Go 1.24)
	}
	return strconv.FormatInt(lowest+n.Int64(), 10)
}

func protected(ref string) string {
	return strconv.FormatBool(ref == "refs/heads/main" || strings.HasPrefix(ref, "refs/tags/"))
}

func refType(ref string) string {
	if strings.HasPrefix(ref, "refs/tags/") {
		return "tag"
	}
	return "branch"
}
