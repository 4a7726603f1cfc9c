// SPDX-License-Identifier: Apache-2.0

package load

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // git's, for what looks like a commit
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
)

const (
	// repositories is among how many the entries are spread: some index keys
	// repeat, as in a company.
	repositories = 200
	// perCommit is how many entries share a commit: images and attestations of
	// one CI run.
	perCommit = 10
	// maxStencils bounds what is kept: about the runs in flight.
	maxStencils = 2 * repositories
)

// authority issues certificates like those of the service. A log in the mode
// "open" does not ask who issued them.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time

	mu       sync.Mutex       // guards stencils
	stencils map[run]*stencil // one for each run
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := parse(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &authority{cert: cert, key: key, now: now, stencils: map[run]*stencil{}}, err
}

// issue returns the DER of a certificate in Fulcio's profile for the i-th
// entry: ten minutes, a workflow as its only name, everything about the run in
// extensions.
func (a *authority) issue(key *ecdsa.PublicKey, i int) ([]byte, error) {
	s, err := a.stencil(key, runOf(i))
	if err != nil {
		return nil, err
	}
	return s.cut(key, a.key)
}

// stencil returns the certificate that those of a run are made from.
func (a *authority) stencil(key *ecdsa.PublicKey, r run) (*stencil, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.stencils[r]; s != nil {
		return s, nil
	}
	san, err := url.Parse(r.workflow)
	if err != nil {
		return nil, err
	}
	extensions, err := r.extensions().Render()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(newSerial()), URIs: []*url.URL{san}, ExtraExtensions: extensions,
		NotBefore: a.now.Add(-time.Minute), NotAfter: a.now.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	s, err := newStencil(der, key)
	if len(a.stencils) >= maxStencils {
		clear(a.stencils)
	}
	a.stencils[r] = s
	return s, err
}

// run is the CI run that an entry belongs to.
type run struct{ repository, workflow, commit, id string }

func runOf(i int) run {
	repository := fmt.Sprintf("https://github.com/acme/service-%d", i%repositories)
	commit := sha1.Sum(fmt.Appendf(nil, "%d in %s", i/(repositories*perCommit), repository)) //nolint:gosec // git's
	return run{
		repository: repository, workflow: repository + "/.github/workflows/release.yaml@refs/heads/main", commit: hex.EncodeToString(commit[:]),
		id: fmt.Sprintf("%s/actions/runs/%d/attempts/1", repository, 10_000_000+i/(repositories*perCommit)),
	}
}

func (r run) extensions() certificate.Extensions {
	return certificate.Extensions{
		Issuer: "https://token.actions.githubusercontent.com", GithubWorkflowTrigger: "push", GithubWorkflowSHA: r.commit,
		GithubWorkflowName: "release", GithubWorkflowRepository: "acme/service", GithubWorkflowRef: "refs/heads/main",
		BuildSignerURI: r.workflow, BuildSignerDigest: r.commit, RunnerEnvironment: "github-hosted",
		SourceRepositoryURI: r.repository, SourceRepositoryDigest: r.commit, SourceRepositoryRef: "refs/heads/main",
		SourceRepositoryIdentifier: "1001", SourceRepositoryOwnerURI: "https://github.com/acme", SourceRepositoryOwnerIdentifier: "2002",
		BuildConfigURI: r.workflow, BuildConfigDigest: r.commit, BuildTrigger: "push", RunInvocationURI: r.id,
		SourceRepositoryVisibilityAtSigning: "private",
	}
}
