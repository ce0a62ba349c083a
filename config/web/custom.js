// This file is part of pacte_grants.  The LICENSE file at the top level of
// this repository contains the full copyright notices and license terms.
Sao.config.title = "Pacte – subventions";
Sao.config.icon_colors = ['#1f5a8a', '#3e4950', '#c2571a'];
Sao.config.calendar_colors = ['#fff', '#1f5a8a'];
Sao.config.graph_color = '#1f5a8a';
document.title = Sao.config.title;
jQuery(function() {
    jQuery('#title').text(Sao.config.title);
});
