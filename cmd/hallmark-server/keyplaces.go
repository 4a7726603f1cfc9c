// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/keys/kms"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// A key of the deployment is an encrypted file, keys/NAME.key, or is in a KMS.
// Beside either lies keys/NAME.pub, the key that the deployment has pinned: a
// KMS answers for a name, and what the name leads to can change. Keys in files
// of before there were pins have none, and need none: certificates, logs and
// trusted root have their public halves.

// keyName is the form of the names of keys.
var keyName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// roleKeys are the keys of every deployment that may be in a KMS. The keys of
// further logs are log-v1-2 and so on.
func roleKeys() []string {
	return []string{keyCARoot, keyCA, keyCT, keyLogV1, keyLogV2, keyTSARoot, keyTSA}
}

// initKeys are those and the ones of the trust repository: all that init makes.
func initKeys() []string {
	all := roleKeys()
	for _, role := range tuf.OnlineRoles() {
		all = append(all, tufKey(role))
	}
	return all
}

// laterKey is the form of the names of keys that came after those of init: of
// further logs, of rotations with their roots, and of the trust repository.
var laterKey = regexp.MustCompile(`^(log-v[12]-[0-9]+|(ca|ca-fulcio|tsa)-[0-9]+(-root)?|ct-[0-9]+|charts-pgp-[0-9]+|tuf-(targets|snapshot|timestamp)(-[0-9]+)?|(sign|attest)-[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.[0-9]+)$`)

// KMSConfig says how to reach key management services.
type KMSConfig struct {
	// Timeout bounds one call to a KMS, for example 10s, the default.
	Timeout Duration `yaml:"timeout,omitempty"`
	// Vault is the Vault or OpenBao server of hashivault:// keys.
	Vault VaultConfig `yaml:"vault,omitempty"`
}

// VaultConfig is a Vault or OpenBao server.
type VaultConfig struct {
	// Address is its URL; default VAULT_ADDR. Plain HTTP to a loopback address
	// only. VAULT_CACERT and VAULT_NAMESPACE are heeded.
	Address string `yaml:"address,omitempty"`
	// TokenFile holds its token, as an agent renews it; default VAULT_TOKEN.
	TokenFile string `yaml:"tokenFile,omitempty"`
	// Mount is the path of the transit engine; default transit.
	Mount string `yaml:"mount,omitempty"`
}

// checkKeys holds keys and kms of the configuration against each other, without
// asking anybody.
func (c *Config) checkKeys() error {
	for _, name := range slices.Sorted(maps.Keys(c.Keys)) {
		if !slices.Contains(roleKeys(), name) && name != keyFulcio && !laterKey.MatchString(name) {
			return fmt.Errorf("keys.%s: there is no such key (hint: %v, %s, tuf-targets, tuf-snapshot, tuf-timestamp, and those with a number: log-v1-2, ca-2, ca-2-root, sign-NAME.2)", name, roleKeys(), keyFulcio)
		}
		if err := kms.CheckReference(c.Keys[name]); err != nil {
			return fmt.Errorf("keys.%s: %w", name, err)
		}
	}
	if err := c.kms().Check(); err != nil {
		return fmt.Errorf("kms: %w", err)
	}
	return nil
}

// kms is the configuration as the KMS client wants it.
func (c *Config) kms() kms.Config {
	vault := kms.Vault{Address: c.KMS.Vault.Address, Mount: c.KMS.Vault.Mount}
	if c.KMS.Vault.TokenFile != "" {
		vault.TokenFile = c.path(c.KMS.Vault.TokenFile)
	}
	return kms.Config{Timeout: c.KMS.Timeout.Duration, Vault: vault}
}

// place is where a key is: in a file, unless reference says in which KMS.
type place struct {
	name      string // of its files
	reference string
}

// place of a key of the deployment itself. The first long-lived keys have theirs
// under signing.keys; those that rotations bring, like all others under keys.
func (c *Config) place(name string) place {
	for _, k := range c.signingKeys() {
		if k.place.name == name {
			return k.place
		}
	}
	if name == keyCharts {
		return c.chartPlace()
	}
	return place{name: name, reference: c.Keys[name]}
}

func (p place) String() string {
	if p.reference != "" {
		return p.reference
	}
	return "keys/" + p.name + ".key"
}

// keyIn and pinIn are a key's files in a folder of keys.
func (p place) keyIn(dir string) string { return filepath.Join(dir, p.name+".key") }
func (p place) pinIn(dir string) string { return filepath.Join(dir, p.name+".pub") }

// openOwn opens a key of the deployment itself.
func (c *Config) openOwn(ctx context.Context, name string, password []byte) (crypto.Signer, error) {
	return c.openKey(ctx, c.path("keys"), c.place(name), password)
}

// hasKey says whether a key is here: in a KMS, or in a file that was not moved
// to a safe.
func (c *Config) hasKey(name string) bool {
	p := c.place(name)
	return p.reference != "" || exists(p.keyIn(c.path("keys")))
}

// publicHalf of a key of the deployment: its pin, or of one from before there
// were pins the key itself. dir is the folder of keys.
func (c *Config) publicHalf(ctx context.Context, dir, name string, password []byte) (crypto.PublicKey, error) {
	pin, err := keys.ReadPublic(c.place(name).pinIn(dir))
	if !errors.Is(err, fs.ErrNotExist) {
		return pin, err
	}
	key, err := c.openKey(ctx, dir, c.place(name), password)
	if err != nil {
		return nil, err
	}
	return key.Public(), nil
}

// openKey opens a key that exists. dir is the folder of keys.
func (c *Config) openKey(ctx context.Context, dir string, p place, password []byte) (crypto.Signer, error) {
	pin, err := c.pinOf(dir, p)
	if err != nil {
		return nil, err
	}
	if p.reference != "" {
		key, err := kms.Open(ctx, p.reference, pin, c.kms())
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", p.name, err)
		}
		return key, nil
	}
	key, err := keys.ReadEncrypted(p.keyIn(dir), password)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, c.missing(err, pin != nil)
	}
	if err != nil {
		return nil, err
	}
	return key, p.checkPin(dir, key.Public(), pin)
}

// missing says what to do about a key that is not there: whether it was lost or has
// never been made, its public half says.
func (c *Config) missing(err error, used bool) error {
	if used {
		return fmt.Errorf("%w (hint: it was in use, its public half is there, and every replica needs it: bring it back from the backup, or copy it from another replica)", err)
	}
	if !exists(c.path("keys")) {
		return fmt.Errorf("%w (hint: hallmark-server init --dir %s makes the keys of a new deployment; those of another are in its backup)", err, c.dir)
	}
	return fmt.Errorf("%w (hint: hallmark-server keys create --dir %s makes those that the configuration asks for; the others are in the backup)", err, c.dir)
}

// hinted adds a hint to an error that has none.
func hinted(err error, hint string, args ...any) error {
	if strings.Contains(err.Error(), "(hint: ") {
		return err
	}
	return fmt.Errorf("%w (hint: %s)", err, fmt.Sprintf(hint, args...))
}

// pinOf is the pinned key; nil for a key in a file of before there were pins.
func (c *Config) pinOf(dir string, p place) (crypto.PublicKey, error) {
	pin, err := keys.ReadPublic(p.pinIn(dir))
	switch {
	case err == nil:
		return pin, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("key %s: %w", p.name, err)
	case p.reference != "":
		return nil, fmt.Errorf("key %s: %w (hint: which key is it meant to be? hallmark-server keys create --dir %s pins the one that is there now)", p.name, err, c.dir)
	}
	return nil, nil //nolint:nilnil // no pin is no error
}

// checkPin holds a key of a file against its pin.
func (p place) checkPin(dir string, key, pin crypto.PublicKey) error {
	if pin != nil && !keys.Equal(key, pin) {
		return fmt.Errorf("key %s: %w: %s and %s do not belong together", p.name, keys.ErrOtherKey, p.keyIn(dir), p.pinIn(dir))
	}
	return nil
}

// makeKey makes a key in a file, or takes one of a KMS into use, and pins it.
// What exists is never replaced: fs.ErrExist. Power fails between the two files:
// the key is there without a pin. Nobody has used it; a key in a file is pinned
// by the next call of adoptKey, one in a KMS is taken into use again.
func (c *Config) makeKey(ctx context.Context, dir string, p place, password []byte) (crypto.Signer, error) {
	if p.reference != "" {
		public, err := kms.Public(ctx, p.reference, c.kms())
		if err != nil {
			return nil, fmt.Errorf("key %s: %w (hint: create the key in the KMS first)", p.name, err)
		}
		// That the service may use it is seen before it is relied on.
		key, err := kms.Open(ctx, p.reference, public, c.kms())
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", p.name, err)
		}
		return key, keys.WritePublic(p.pinIn(dir), public)
	}
	key, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		return nil, err
	}
	if err := keys.WriteEncrypted(p.keyIn(dir), key, password); err != nil {
		return nil, err
	}
	return key, keys.WritePublic(p.pinIn(dir), key.Public())
}

// adoptKey makes what of a key is missing, and says whether it did anything.
func (c *Config) adoptKey(ctx context.Context, dir string, p place, password []byte) (made bool, err error) {
	switch {
	case exists(p.pinIn(dir)):
		return false, nil
	case p.reference == "" && exists(p.keyIn(dir)):
		key, err := keys.ReadEncrypted(p.keyIn(dir), password)
		if err != nil {
			return false, err
		}
		return true, keys.WritePublic(p.pinIn(dir), key.Public())
	}
	_, err = c.makeKey(ctx, dir, p, password)
	return err == nil, err
}
