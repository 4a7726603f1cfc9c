// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/kms/azure"
	"github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/api/option"
)

// errConfiguration marks what only a person can mend.
var errConfiguration = errors.New("KMS configuration")

// provider is one kind of KMS.
type provider struct {
	scheme string
	// valid is nil for a well-formed reference.
	valid func(ref string) error
	open  func(ctx context.Context, ref string, cfg Config) (backend, error)
	// openRSA is open for RSA keys; nil: open signs PKCS #1 v1.5 over SHA-256 with
	// them.
	openRSA opener
	// wanted is what the service calls the only kind of key that is accepted, and
	// wantedRSA the one more that is for OpenPGP.
	wanted, wantedRSA string
	hint              string
}

// googleOptions are none but in tests, which have no other way to lead the
// library to a server of their own.
var googleOptions []option.ClientOption

// providers is the fixed list. Each scheme's own function is called: the
// library's general one runs programs.
func providers() []provider {
	return []provider{
		{
			scheme: aws.ReferenceScheme, valid: aws.ValidReference, open: openAWS, openRSA: openAWSRSA,
			wanted: "ECC_NIST_P256 for SIGN_VERIFY", wantedRSA: "RSA_3072 or RSA_4096 for SIGN_VERIFY",
			hint: "the service's role needs kms:GetPublicKey, kms:DescribeKey and kms:Sign for this key; is AWS_REGION right?",
		},
		{
			scheme: gcp.ReferenceScheme, valid: gcp.ValidReference,
			open: func(ctx context.Context, ref string, _ Config) (backend, error) {
				return gcp.LoadSignerVerifier(ctx, ref, googleOptions...)
			},
			wanted: "EC_SIGN_P256_SHA256", wantedRSA: "RSA_SIGN_PKCS1_3072_SHA256 or RSA_SIGN_PKCS1_4096_SHA256",
			hint: "the service account needs roles/cloudkms.signerVerifier and roles/cloudkms.viewer for this key",
		},
		{
			scheme: azure.ReferenceScheme, valid: azure.ValidReference, open: openAzure, openRSA: openAzureRSA,
			wanted: "EC with curve P-256", wantedRSA: "RSA of 3072 or 4096 bits",
			hint: "the identity needs get and sign for this key; AZURE_TENANT_ID and AZURE_CLIENT_ID say whose it is",
		},
		{
			scheme: hashivault.ReferenceScheme, valid: hashivault.ValidReference, open: openVault,
			wanted: "of type ecdsa-p256", wantedRSA: "of type rsa-3072 or rsa-4096",
			hint: "is kms.vault.address right, and may the token read transit/keys/NAME and update transit/sign/NAME?",
		},
	}
}

// providerOf finds whose a reference is. The scheme is compared with the list
// before anybody else sees the text.
func providerOf(ref string) (provider, error) {
	if len(ref) > maxReference {
		return provider{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrReference, len(ref), maxReference)
	}
	var known []string
	for _, p := range providers() {
		if !strings.HasPrefix(ref, p.scheme) {
			known = append(known, p.scheme)
			continue
		}
		if err := p.valid(ref); err != nil || strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return provider{}, fmt.Errorf("%w: %q (hint: %s)", ErrReference, ref, forms[p.scheme])
		}
		return p, nil
	}
	if strings.HasPrefix(ref, "pkcs11:") {
		return provider{}, fmt.Errorf("%w: %q: PKCS#11 is not supported yet", ErrReference, ref)
	}
	return provider{}, fmt.Errorf("%w: %q (hint: it begins with %s)", ErrReference, ref, strings.Join(known, ", "))
}

// forms are how references of a scheme look.
var forms = map[string]string{
	aws.ReferenceScheme:        "awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID or awskms:///alias/NAME",
	gcp.ReferenceScheme:        "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N",
	azure.ReferenceScheme:      "azurekms://VAULT.vault.azure.net/KEY/VERSION",
	hashivault.ReferenceScheme: "hashivault://KEY, of letters, digits, dots and dashes",
}

func openAWS(ctx context.Context, ref string, _ Config) (backend, error) {
	if err := checkAWS(); err != nil {
		return nil, err
	}
	return aws.LoadSignerVerifier(ctx, ref)
}

func checkAWS() error {
	if os.Getenv("AWS_TLS_INSECURE_SKIP_VERIFY") != "" {
		return fmt.Errorf("%w: AWS_TLS_INSECURE_SKIP_VERIFY is set, and would let anybody answer for AWS (hint: AWS_CA_BUNDLE names the certificates of an endpoint of your own)", errConfiguration)
	}
	return nil
}

// azureCredentials is the variable that says which of its credentials Azure's
// library tries. Some of them are programs that it runs: az, azd, pwsh.
const azureCredentials = "AZURE_TOKEN_CREDENTIALS" //nolint:gosec // the name of a variable

func openAzure(ctx context.Context, ref string, _ Config) (backend, error) {
	if err := checkAzure(); err != nil {
		return nil, err
	}
	return azure.LoadSignerVerifier(ctx, ref)
}

func checkAzure() error {
	switch os.Getenv(azureCredentials) {
	case "prod", "EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential":
		return nil
	}
	return fmt.Errorf("%w: %s is not set to prod, without which Azure's library runs whatever az, azd and pwsh are on the PATH to get credentials (hint: %s=prod)",
		errConfiguration, azureCredentials, azureCredentials)
}

func openVault(ctx context.Context, ref string, cfg Config) (backend, error) {
	address := cfg.Vault.Address
	if address == "" {
		address = os.Getenv("VAULT_ADDR")
	}
	if address == "" {
		return nil, fmt.Errorf("%w: where is Vault? (hint: kms.vault.address, or VAULT_ADDR)", errConfiguration)
	}
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfiguration, err)
	}
	token, err := cfg.Vault.token()
	if err != nil {
		return nil, err
	}
	return hashivault.LoadSignerVerifier(ref, crypto.SHA256, options.WithContext(ctx),
		options.WithRPCAuthOpts(options.RPCAuth{Address: address, Token: token, Path: cfg.Vault.Mount}))
}

// isLoopback tells whether a host is this machine. Names are not looked up.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
