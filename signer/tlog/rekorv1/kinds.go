// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	dsse "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	hashedrekord "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	helmtypes "github.com/sigstore/rekor/pkg/types/helm"
	helm "github.com/sigstore/rekor/pkg/types/helm/v0.0.1"

	// Each registers a kind and version with package types.
	_ "github.com/sigstore/rekor/pkg/types/cose/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"
	_ "github.com/sigstore/rekor/pkg/types/rekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/rfc3161/v0.0.1"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// Names of kinds and of the version that is handled without Rekor's code.
const (
	kindHashedRekord = "hashedrekord"
	kindDSSE         = "dsse"
	version001       = "0.0.1"
)

// isAccepted says whether entries of a kind can be logged. Not among them are
// alpine and jar, whose packages Rekor's code unpacks without a limit that could
// be set from here, rpm, which has them in the same family and nobody who
// asks for it, and tuf, whose check takes a time that grows with the square of
// the request. None of the four has a client beside rekor-cli.
func isAccepted(kind string) bool {
	switch kind {
	case kindHashedRekord, kindDSSE, "intoto", "rekord", "helm", "rfc3161", "cose":
		return true
	}
	return false
}

// Invalid says that an entry cannot be logged for what it is: malformed, of an
// algorithm that is not accepted, or with a signature that does not verify.
type Invalid struct{ err error }

// Error implements error.
func (e *Invalid) Error() string { return "invalid entry: " + e.err.Error() }

// Unwrap returns the cause.
func (e *Invalid) Unwrap() error { return e.err }

// entry is a proposed entry that has been verified.
type entry struct {
	leaf []byte
	// keys are what it shall be found by.
	keys []string
	// verifiers are whose signatures it has.
	verifiers []verifier
	// spell makes the leaf of another spelling of the entry, see package
	// writers; nil for kinds whose other spellings cannot be listed.
	spell func(signature, certificate []byte) []byte
	// signature is the only one of a hashedrekord or dsse, what spell varies; nil
	// for other kinds.
	signature []byte
}

// read makes an entry of a request, whose JSON is doc: verified, in canonical
// form, with its index keys. Its errors are *Invalid and *problem.
func (s *Service) read(ctx context.Context, raw []byte, doc *value) (entry, error) {
	// Rekor's code reads the same bytes with the same result; it is asked for
	// everything that is out of the ordinary, and for the reason why not.
	if e, ok := readHashedRekord(doc); ok {
		return e, nil
	}
	if e, ok := readDSSE(doc); ok {
		return e, nil
	}
	proposed, err := unmarshal(raw)
	if err != nil {
		return entry{}, err
	}
	return s.readSlowly(ctx, proposed)
}

// unmarshal reads a proposed entry and checks it against the schema.
func unmarshal(raw []byte) (models.ProposedEntry, error) {
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(raw), nil)
	if err == nil {
		err = proposed.Validate(nil)
	}
	if err != nil {
		return nil, schemaError(err)
	}
	return proposed, nil
}

// readSlowly verifies and canonicalises an entry of any kind with Rekor's code.
func (s *Service) readSlowly(ctx context.Context, proposed models.ProposedEntry) (e entry, err error) {
	defer recoverParser(&err)
	if !isAccepted(proposed.Kind()) {
		return entry{}, &Invalid{fmt.Errorf("entry kind '%s' is not enabled for submission on this server", proposed.Kind())}
	}
	if err := checkCost(proposed); err != nil {
		return entry{}, &Invalid{err}
	}
	impl, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return entry{}, &Invalid{err}
	}
	if e.verifiers, err = verifiersOf(impl); err != nil {
		return entry{}, &Invalid{err}
	}
	if err := s.checkForm(impl, e.verifiers); err != nil {
		return entry{}, &Invalid{err}
	}
	if e.leaf, err = types.CanonicalizeEntry(ctx, impl); err != nil {
		return entry{}, &Invalid{err}
	}
	if err := readBack(e.leaf); err != nil {
		return entry{}, &Invalid{err}
	}
	if hashed, ok := impl.(*hashedrekord.V001Entry); ok {
		e.signature = hashed.HashedRekordObj.Signature.Content
		e.spell = spellHashedRekord(hashed)
	}
	if envelope, ok := impl.(*dsse.V001Entry); ok {
		e.signature = onlySignature(envelope)
	}
	e.keys = e.indexKeys(keysOf(impl, proposed))
	return e, nil
}

// indexKeys are the keys of the verifiers and others.
func (e entry) indexKeys(others []string) []string {
	var groups [][]string
	for _, v := range e.verifiers {
		groups = append(groups, v.keys)
	}
	return index.Collect(append(groups, others)...)
}

// readBack says whether clients can read a leaf: some proposals that Rekor's
// types accept become entries that they refuse.
func readBack(leaf []byte) error {
	logged, err := unmarshal(leaf)
	if err != nil {
		return err
	}
	_, err = types.UnmarshalEntry(logged)
	return err
}

// checkForm is what Rekor's server checks beside its types, and what would let
// one entry be written in many ways or in none that is certain.
func (s *Service) checkForm(impl types.EntryImpl, verifiers []verifier) error {
	switch impl := impl.(type) {
	case *hashedrekord.V001Entry:
		return s.checkHashedRekord(&impl.HashedRekordObj, verifiers)
	case *helm.V001Entry:
		// Rekor takes the hash of any of the files, another one each time.
		provenance := helmtypes.Provenance{}
		if err := provenance.Unmarshal(bytes.NewReader(impl.HelmObj.Chart.Provenance.Content)); err != nil {
			return err
		}
		if len(provenance.SumCollection.Files) != 1 {
			return errors.New("a chart's provenance names one file")
		}
	}
	return nil
}

// recoverParser turns a panic of a parser of hostile input, none of which is
// ours, into the refusal of the input.
func recoverParser(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w (%v)", refuse(http.StatusBadRequest, "error processing entry: it cannot be parsed"), r)
	}
}
