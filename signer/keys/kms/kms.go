// SPDX-License-Identifier: Apache-2.0

// Package kms opens keys that live in a key management service: the private
// half never leaves it, and each signature is a call over the network.
//
// A key is named by a reference, the scheme of which says whose service it is:
//
//	awskms:///arn:aws:kms:…, awskms:///alias/NAME, awskms://HOST/alias/NAME
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]
//	azurekms://VAULT-HOST/KEY[/VERSION]
//	hashivault://KEY   (Vault's or OpenBao's transit engine)
//
// The list is fixed here. Sigstore's library, which speaks to the four, would
// look for a program sigstore-kms-<scheme> for any other scheme and run it, so
// its general entrance is never called: a reference that is not of the list is
// an error before anything happens. References come from the administrator's
// configuration and from nowhere else. PKCS#11 tokens are to get a scheme of
// their own.
//
// What a reference leads to can change in the service without anybody here
// knowing: an alias is moved, a key is rotated, a vault is exchanged. So a key
// is opened with the public key that was pinned when it was taken into use, and
// every signature is verified under it before it leaves this package: another
// key is an error (keys.ErrOtherKey), never a new identity.
package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

const (
	// DefaultTimeout bounds one call, retries of the service's library included:
	// a KMS answers in tens of milliseconds, and a signing request has 30 s.
	DefaultTimeout = 10 * time.Second
	// maxTimeout leaves room for the rest of a signing request.
	maxTimeout = 25 * time.Second
	// maxReference bounds a reference, bytes; the longest, Google's, has 200.
	maxReference = 1024
)

var (
	// ErrReference means that a text names no key of a KMS that is known here.
	ErrReference = errors.New("not a KMS key reference")
	// ErrUnavailable means that the KMS did not sign: no answer, no permission,
	// no such key. The same call later may succeed.
	ErrUnavailable = errors.New("the KMS does not answer")
)

// Config says how to reach key management services. Credentials of AWS, Google
// and Azure are found by their own libraries, in the process's environment, the
// machine's role or the workload identity.
type Config struct {
	// Timeout bounds one call. 0: DefaultTimeout.
	Timeout time.Duration
	Vault   Vault
}

// Vault is a Vault or OpenBao server with a transit engine.
type Vault struct {
	// Address is its URL. Empty: VAULT_ADDR.
	Address string
	// TokenFile holds the token, and is read again when the server refuses the
	// one before: an agent may renew it. Empty: VAULT_TOKEN.
	TokenFile string
	// Mount is the path of the transit engine. Empty: transit.
	Mount string
}

// CheckReference says whether a text is a reference to a key of a KMS that is
// known here: ErrReference if not.
func CheckReference(ref string) error {
	_, err := providerOf(ref)
	return err
}

// IsReference tells a reference from the path of a file.
func IsReference(s string) bool { return strings.Contains(s, "://") }

// Public asks the KMS for the public key. Pin it: see Open. Keys other than
// ECDSA on P-256 are keys.ErrUnsupported.
func Public(ctx context.Context, ref string, cfg Config) (crypto.PublicKey, error) {
	public, p, err := publicOf(ctx, ref, cfg)
	if err != nil {
		return nil, err
	}
	if kind, err := keys.PublicKindOf(public); err != nil || kind != keys.ECDSAP256 {
		return nil, fmt.Errorf("key %s: %w: %T (hint: make it %s)", ref, keys.ErrUnsupported, public, p.wanted)
	}
	return public, nil
}

// publicOf asks for a public key of any kind.
func publicOf(ctx context.Context, ref string, cfg Config) (crypto.PublicKey, provider, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, provider{}, err
	}
	p, err := providerOf(ref)
	if err != nil {
		return nil, p, err
	}
	var public crypto.PublicKey
	err = within(ctx, cfg.Timeout, nil, func(ctx context.Context) error {
		b, err := p.open(ctx, ref, cfg)
		if err != nil {
			return err
		}
		public, err = b.PublicKey(options.WithContext(ctx))
		return err
	})
	if err != nil {
		return nil, p, unavailable("read public key of "+ref, p, err)
	}
	return public, p, nil
}

// checked fills in defaults and refuses what is unsafe.
func (c Config) checked() (Config, error) {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		return c, fmt.Errorf("KMS time-out %s is not within 0s and %s", c.Timeout, maxTimeout)
	}
	return c, nil
}

// Check says what is wrong with a configuration, without asking anybody.
func (c Config) Check() error {
	if _, err := c.checked(); err != nil {
		return err
	}
	if c.Vault.Address == "" {
		return nil
	}
	return checkAddress(c.Vault.Address)
}

// checkAddress wants TLS, because the token goes there.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil:
		return errors.New("address of Vault is not a URL like https://vault.corp.example:8200")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("address %s of Vault: its token is sent over HTTPS, or to a loopback address", u.Redacted())
	}
	return nil
}

// backend is what is used of sigstore's SignerVerifier.
type backend interface {
	PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error)
	messageSigner
}

// messageSigner is what is used of it to sign. It is comparable.
type messageSigner interface {
	SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error)
}

// opener connects to a key.
type opener func(ctx context.Context, ref string, cfg Config) (messageSigner, error)

// unavailable says what could not be done, and what a person may look at.
func unavailable(verb string, p provider, err error) error {
	if errors.Is(err, keys.ErrOtherKey) || errors.Is(err, keys.ErrUnsupported) || errors.Is(err, errConfiguration) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return fmt.Errorf("%s: %w: %w (hint: %s)", verb, ErrUnavailable, err, p.hint)
}

// token reads Vault's token.
func (v Vault) token() (string, error) {
	if v.TokenFile == "" {
		if token := os.Getenv("VAULT_TOKEN"); token != "" {
			return token, nil
		}
		// Without a token the library would run the program that ~/.vault names.
		return "", fmt.Errorf("%w: no token for Vault (hint: kms.vault.tokenFile, or VAULT_TOKEN)", errConfiguration)
	}
	token, err := keys.ReadPassword(v.TokenFile, "")
	if err != nil {
		return "", fmt.Errorf("%w: token for Vault: %w", errConfiguration, err)
	}
	return string(token), nil
}
