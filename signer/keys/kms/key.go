// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

const (
	// maxCalls bounds the calls of one key that run at a time, those that nobody
	// waits for any more included: a KMS that hangs takes no more than these.
	maxCalls = 64
	// reopenEvery spaces new beginnings after an error: a token that was renewed,
	// a connection that died.
	reopenEvery = 5 * time.Second
)

// possession is what Open has the key sign, so that a service which may not use
// its key does not start. It is the SHA-256 of a sentence that is neither a
// certificate nor a statement nor a checkpoint.
var possession = sha256.Sum256([]byte("hallmark: this service may use this key"))

// Key is a key in a KMS. It is a crypto.Signer for SHA-256, and safe for
// concurrent use. Every signature that it returns verifies under the pinned
// public key.
type Key struct {
	ref      string
	provider provider
	cfg      Config
	public   crypto.PublicKey
	start    opener
	verify   func(digest, signature []byte) error // by public
	slots    chan struct{}                        // one element for each running call

	mu     sync.Mutex    // guards what follows
	using  messageSigner // nil: not open
	opened time.Time
}

// Open opens the key that ref leads to, which must be the pinned one, and has
// it sign once. Errors: ErrReference, ErrUnavailable, keys.ErrOtherKey,
// keys.ErrUnsupported.
func Open(ctx context.Context, ref string, pin crypto.PublicKey, cfg Config) (*Key, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	p, err := providerOf(ref)
	if err != nil {
		return nil, err
	}
	if kind, err := keys.PublicKindOf(pin); err != nil || kind != keys.ECDSAP256 {
		return nil, fmt.Errorf("open key %s: %w: the pinned key is a %T (hint: make it %s)", ref, keys.ErrUnsupported, pin, p.wanted)
	}
	return openPinned(ctx, ref, pin, p, cfg)
}

// openPinned opens a key of a kind that was looked at.
func openPinned(ctx context.Context, ref string, pin crypto.PublicKey, p provider, cfg Config) (*Key, error) {
	k := &Key{ref: ref, provider: p, cfg: cfg, public: pin, slots: make(chan struct{}, maxCalls)}
	k.start, k.verify = howTo(pin, p)
	if _, err := k.SignContext(ctx, possession[:]); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return k, nil
}

// Reference is where the key is.
func (k *Key) Reference() string { return k.ref }

// Public implements crypto.Signer with the pinned key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. It ends with the configured time-out.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("sign with %s: %w: it signs SHA-256 digests only", k.ref, keys.ErrUnsupported)
	}
	return k.SignContext(context.Background(), digest)
}

// SignContext signs a SHA-256 digest: ASN.1, as ecdsa.SignASN1 does, and RSA by
// PKCS #1 v1.5. It ends with the context or the configured time-out, whichever is sooner.
func (k *Key) SignContext(ctx context.Context, digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("sign with %s: a digest of %d bytes, not %d", k.ref, len(digest), sha256.Size)
	}
	var signature []byte
	err := within(ctx, k.cfg.Timeout, k.slots, func(ctx context.Context) (err error) {
		signature, err = k.sign(ctx, digest)
		return err
	})
	if err != nil {
		return nil, unavailable("sign with "+k.ref, k.provider, err)
	}
	return signature, nil
}

// sign calls the KMS. After an error it begins anew, unless it has just done
// so: the token may have been renewed, and the library keeps the old one.
func (k *Key) sign(ctx context.Context, digest []byte) ([]byte, error) {
	for {
		b, fresh, err := k.open(ctx)
		if err != nil {
			return nil, err
		}
		signature, err := b.SignMessage(nil, options.WithContext(ctx), options.WithDigest(digest), options.WithCryptoSignerOpts(crypto.SHA256))
		if err == nil {
			err = k.verify(digest, signature)
		}
		if err == nil {
			return signature, nil
		}
		if fresh || ctx.Err() != nil || !k.forget(b) {
			return nil, err
		}
	}
}

// open returns the open connection, or makes one and says so.
func (k *Key) open(ctx context.Context) (b messageSigner, fresh bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.using != nil {
		return k.using, false, nil
	}
	// Not with the call's context: the libraries keep it.
	b, err = k.start(context.WithoutCancel(ctx), k.ref, k.cfg)
	if err != nil {
		return nil, false, err
	}
	k.using, k.opened = b, time.Now()
	return b, true, nil
}

// forget has the next call begin anew; false if that would be too soon.
func (k *Key) forget(b messageSigner) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.using != b {
		return true // another call has seen to it
	}
	if time.Since(k.opened) < reopenEvery {
		return false
	}
	k.using = nil
	return true
}

// errSlow says that a call did not end in time.
var errSlow = errors.New("no answer in time")

// within runs a call for at most so long. Some of the libraries do not listen
// to the context; their call then ends some time after nobody waits for it any
// more, and keeps its place among the calls until then.
func within(ctx context.Context, limit time.Duration, slots chan struct{}, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	if slots != nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			cancel()
			return fmt.Errorf("%w: %d calls are waiting for it", errSlow, cap(slots))
		}
	}
	done := make(chan error, 1)
	go func() {
		err := call(ctx)
		if slots != nil {
			<-slots
		}
		done <- err
	}()
	select {
	case err := <-done:
		cancel()
		return err
	case <-ctx.Done():
		cancel()
		return fmt.Errorf("%w: %w", errSlow, ctx.Err())
	}
}
