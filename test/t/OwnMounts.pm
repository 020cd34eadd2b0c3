# A mount namespace of the test's own, in which it can have small file systems;
# where the system does not allow that the test is skipped. Use it before the
# modules of the server's tests, which take over what is printed.
package OwnMounts;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Test::More;

our @EXPORT = qw(mount_small);

BEGIN
{
	my @unshare = ('unshare', '--mount', '--map-current-user', '--keep-caps');

	if (!$ENV{DBOPS_OWN_MOUNTS})
	{
		plan skip_all => 'a file system of our own cannot be mounted here'
		  if system("@unshare mount -t tmpfs -o size=16m tmpfs /tmp >/dev/null 2>&1") != 0;
		$ENV{DBOPS_OWN_MOUNTS} = 1;
		exec @unshare, $^X, (map { "-I$_" } @INC), $0 or die "cannot run unshare: $!";
	}
}

# A file system of 16 MB that ends with the test.
sub mount_small
{
	my ($folder) = @_;

	mkdir $folder or die "cannot make $folder: $!";
	system('mount', '-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'tmpfs', $folder) == 0 or die 'cannot mount a tmpfs';
	return $folder;
}

1;
