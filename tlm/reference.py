"""The golden model under its public name, ``tlm.reference`` (:mod:`tlm.network.golden`)."""

from tlm.network.golden import accumulate as accumulate
from tlm.network.golden import finished as finished
from tlm.network.golden import largest as largest
from tlm.network.golden import output as output
from tlm.network.golden import requantise as requantise
from tlm.network.golden import run as run
from tlm.network.golden import wrap as wrap
