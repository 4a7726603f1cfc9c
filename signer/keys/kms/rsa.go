// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	awstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
)

// digestOf takes what Key hands to a backend out of the options.
func digestOf(opts []signature.SignOption) (ctx context.Context, digest []byte) {
	ctx = context.Background()
	for _, opt := range opts {
		opt.ApplyContext(&ctx)
		opt.ApplyDigest(&digest)
	}
	return ctx, digest
}

// awsRSA signs with an RSA key of AWS KMS.
type awsRSA struct {
	client *awskms.Client
	id     string
}

func openAWSRSA(ctx context.Context, ref string, _ Config) (messageSigner, error) {
	if err := checkAWS(); err != nil {
		return nil, err
	}
	endpoint, id, _, err := aws.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS's configuration: %w", err)
	}
	if endpoint != "" {
		base := "https://" + endpoint
		cfg.BaseEndpoint = &base
	}
	return &awsRSA{awskms.NewFromConfig(cfg), id}, nil
}

// SignMessage implements messageSigner.
func (a *awsRSA) SignMessage(_ io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx, digest := digestOf(opts)
	out, err := a.client.Sign(ctx, &awskms.SignInput{
		KeyId: &a.id, Message: digest, MessageType: awstypes.MessageTypeDigest, SigningAlgorithm: awstypes.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	})
	if err != nil {
		return nil, err
	}
	return out.Signature, nil
}

// azureRSA signs with an RSA key of Azure Key Vault.
type azureRSA struct {
	client        *azkeys.Client
	name, version string
}

// azureTest leads to a server of the tests, which Azure's library has no other
// way to.
var azureTest struct {
	credential azcore.TokenCredential
	options    *azkeys.ClientOptions
}

func openAzureRSA(_ context.Context, ref string, _ Config) (messageSigner, error) {
	if err := checkAzure(); err != nil {
		return nil, err
	}
	host, rest, _ := strings.Cut(strings.TrimPrefix(ref, "azurekms://"), "/")
	name, version, _ := strings.Cut(rest, "/")
	credential, options := azureTest.credential, azureTest.options
	if credential == nil {
		var err error
		if credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Cloud: azureCloud()}}); err != nil {
			return nil, fmt.Errorf("credentials of Azure: %w", err)
		}
	}
	client, err := azkeys.NewClient("https://"+host+"/", credential, options)
	if err != nil {
		return nil, err
	}
	return &azureRSA{client, name, version}, nil
}

// azureCloud is the cloud whose login service gives credentials, by the variable
// that Sigstore's library reads.
func azureCloud() cloud.Configuration {
	switch os.Getenv("AZURE_ENVIRONMENT") {
	case "AZUREUSGOVERNMENT", "AZUREUSGOVERNMENTCLOUD":
		return cloud.AzureGovernment
	case "AZURECHINACLOUD":
		return cloud.AzureChina
	}
	return cloud.AzurePublic
}

// SignMessage implements messageSigner.
func (a *azureRSA) SignMessage(_ io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx, digest := digestOf(opts)
	algorithm := azkeys.SignatureAlgorithmRS256
	out, err := a.client.Sign(ctx, a.name, a.version, azkeys.SignParameters{Algorithm: &algorithm, Value: digest}, nil)
	if err != nil {
		return nil, err
	}
	return out.Result, nil
}
