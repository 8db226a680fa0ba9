"""What `deploy` and `check-hosts` do on a host: sent there as text by ssh, to the host's own python3.

These modules need Python's standard library and each other alone, and can be read by Python 3.7. They are
executed on the host in this order (see cluster.ssh), and nothing of them is stored there.

    commands      programs that are run there
    environment   the host, its Python and the environment at a path
    installation  markers, installation of wheels, and its verification
    network       TCP ports that are opened and tried
    server        requests and answers
"""
